#!/bin/sh
# Checks and times the project on a machine with an NVIDIA GPU: everything in this folder is prebuilt, so no
# Rust is needed. It wants x86-64 Linux, a GPU of compute capability 8.0 or newer, a driver and a toolkit
# of CUDA 13 (libcublas and libnvrtc are taken from it, or from PyTorch's wheels), and, for the times, PyTorch.
#
#   ./run.sh [OUT [PART...]]   results go to OUT, results/ beside this script where none is named;
#                              the parts are preflight ops goldens training bench memcheck, all where none is named
#
# Each part is a process of its own with a time limit, and writes each result before it goes on, so a part that
# fails, hangs or crashes takes nothing with it. OUT gets log.txt (all that was said), card.txt, parts.txt,
# checks.jsonl, times.jsonl, results.md and memcheck.txt.
#
# Exit code 0: all is well; 1: something failed; 3: no GPU, or something that it needs is missing.
here=$(cd "$(dirname "$0")" && pwd) || exit 3
out=${1:-$here/results}
[ $# -gt 0 ] && shift
parts=${*:-preflight ops goldens training bench memcheck}

missing() {
    echo "gpu-test: $1" >&2
    exit 3
}

command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1 ||
    missing "no GPU: nvidia-smi is missing or does not work. This needs an NVIDIA GPU and its driver (580 or newer for CUDA 13)."

# Where a toolkit or PyTorch's wheels keep the libraries.
libraries=
add() {
    [ -d "$1" ] && libraries="$libraries${libraries:+:}$1"
}
for root in "$CUDA_PATH" "$CUDA_HOME" /usr/local/cuda /usr/local/cuda-13.* /opt/cuda; do
    [ -n "$root" ] && { add "$root/lib64"; add "$root/targets/x86_64-linux/lib"; }
done
if command -v python3 >/dev/null 2>&1; then
    site=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null)
    for folder in "$site"/nvidia/*/lib; do add "$folder"; done
fi
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
# Libraries and functions that the loader would not find: better to know before than in the middle.
absent=$(ldd -r "$here/gpu-test" 2>&1 | grep -e 'not found' -e 'undefined symbol')
[ -z "$absent" ] || missing "libraries are missing; install the CUDA 13 toolkit or set CUDA_PATH:
$absent"

mkdir -p "$out" || exit 3
log=$out/log.txt
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total,clocks.max.sm --format=csv >"$out/card.txt"
cat "$out/card.txt" | tee -a "$log"

failed=0
# run NAME SECONDS COMMAND...: what it says goes to the log and to the terminal; ends with its exit code.
run() {
    name=$1 limit=$2
    shift 2
    began=$(date +%s)
    before=$(wc -c <"$log")
    echo "== $name (at most $limit s)" >>"$log"
    timeout -k 5 "$limit" "$@" >>"$log" 2>&1
    code=$?
    tail -c "+$((before + 1))" "$log"
    case $code in
    0) said=passed ;;
    124 | 137) said="ended by the time limit of $limit s" ;;
    *) said="failed with exit code $code" ;;
    esac
    echo "$name: $said, $(($(date +%s) - began)) s" | tee -a "$out/parts.txt" "$log"
    return $code
}

# check NAME SECONDS COMMAND...: a failure runs again with each kernel waited for, so that the one that failed is
# named.
check() {
    run "$@" && return
    failed=1
    name=$1 limit=$2
    shift 2
    CUDA_LAUNCH_BLOCKING=1 run "$name, once more, waiting for each kernel" "$limit" "$@"
}

# PyTorch's compiler takes minutes on the CPU, so it starts now, and waits to be timed until the GPU is free.
preparing=
case " $parts " in
*" bench "*)
    if command -v python3 >/dev/null 2>&1; then
        rm -f "$out/go"
        timeout -k 5 420 python3 "$here/bench.py" "$here" "$out" --wait "$out/go" >"$out/bench.txt" 2>&1 &
        preparing=$!
    fi
    ;;
esac

for part in $parts; do
    case $part in
    preflight)
        check preflight 15 "$here/gpu-test" preflight "$here" "$out"
        # The other parts would fail in the same way.
        tail -n 1 "$out/parts.txt" | grep -q passed || {
            [ -n "$preparing" ] && kill "$preparing"
            echo "the GPU cannot be used; see $log" >&2
            exit 3
        }
        ;;
    ops) check ops 60 "$here/gpu-test" ops "$here" "$out" ;;
    goldens) check goldens 60 "$here/gpu-test" goldens "$here" "$out" ;;
    training) check training 80 "$here/gpu-test" training "$here" "$out" ;;
    bench)
        if [ -n "$preparing" ]; then
            touch "$out/go"
            # A time limit of its own, from here on.
            (sleep 120; kill "$preparing") 2>/dev/null &
            watch=$!
            wait "$preparing"
            code=$?
            kill "$watch" 2>/dev/null
            tee -a "$log" <"$out/bench.txt"
            [ "$code" -eq 0 ] || failed=1
            echo "bench: exit code $code" | tee -a "$out/parts.txt" "$log"
            rm -f "$out/go" "$out/bench.txt"
        else
            echo "python3 is missing: nothing is timed" | tee -a "$log"
        fi
        ;;
    memcheck)
        # Accesses out of bounds, in a few ops of each kind.
        if command -v compute-sanitizer >/dev/null 2>&1; then
            run memcheck 45 compute-sanitizer --tool memcheck --error-exitcode 9 --log-file "$out/memcheck.txt" \
                "$here/gpu-test" ops-few "$here" "$out" || failed=1
        else
            echo "compute-sanitizer is not on the search path: left out" | tee -a "$log"
        fi
        ;;
    *) missing "expected preflight, ops, goldens, training, bench or memcheck. Received: $part" ;;
    esac
done
exit "$failed"
