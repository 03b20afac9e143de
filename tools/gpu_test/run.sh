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
# GPU_TEST_SECONDS=N lowers every time limit of a part that is above N seconds to N; it is there to test this script.
#
# Exit code 0: all is well; 1: something failed; 3: no GPU, something that it needs is missing, or wrong usage;
# 129, 130 or 143: ended by a signal, and so is all that it started.
here=$(cd "$(dirname "$0")" && pwd) || exit 3
out=${1:-$here/results}
[ $# -gt 0 ] && shift
parts=${*:-preflight ops goldens training bench memcheck}

missing() {
    echo "gpu-test: $1" >&2
    exit 3
}

for part in $parts; do
    case $part in
    preflight | ops | goldens | training | bench | memcheck) ;;
    *) missing "expected preflight, ops, goldens, training, bench or memcheck. Received: $part" ;;
    esac
done
most=${GPU_TEST_SECONDS:-9999}
case $most in
0* | *[!0-9]*) missing "GPU_TEST_SECONDS: expected a whole number above 0. Received: $most" ;;
esac
# at_most SECONDS: a time limit, lowered where GPU_TEST_SECONDS says so.
at_most() {
    if [ "$1" -lt "$most" ]; then echo "$1"; else echo "$most"; fi
}

command -v nvidia-smi >/dev/null 2>&1 && timeout 30 nvidia-smi >/dev/null 2>&1 ||
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
    site=$(timeout 30 python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null)
    for folder in "$site"/nvidia/*/lib; do add "$folder"; done
fi
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
# Libraries and functions that the loader would not find: better to know before than in the middle.
absent=$(ldd -r "$here/gpu-test" 2>&1 | grep -e 'not found' -e 'undefined symbol')
[ -z "$absent" ] || missing "libraries are missing; install the CUDA 13 toolkit or set CUDA_PATH:
$absent"

mkdir -p "$out" || exit 3
# What is no result, so that OUT holds only results.
work=$(mktemp -d) || exit 3
log=$out/log.txt

# Processes that were started and not yet waited for.
current= preparing=
# Ends them. Each is `timeout`, which passes the signal on to all processes of its group, and kills them when that
# does not end them.
clean_up() {
    trap '' HUP INT TERM
    for process in $current $preparing; do kill "$process" 2>/dev/null; done
    for process in $current $preparing; do wait "$process"; done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Results are also written when nobody reads the output any more.
trap '' PIPE
# A crash leaves no memory image in the current folder.
ulimit -c 0

# say TEXT: to the log, then to the terminal.
say() {
    echo "$1" >>"$log"
    echo "$1"
}

# say_part TEXT: how a part ended.
say_part() {
    echo "$1" >>"$out/parts.txt"
    say "$1"
}

timeout 30 nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total,clocks.max.sm --format=csv \
    >"$out/card.txt"
say "$(cat "$out/card.txt")"

failed=0
# Seconds from the signal that ends a process to the one that it cannot ignore.
grace=$(at_most 5)

# outcome CODE: an exit code in words.
outcome() {
    if [ "$1" -eq 0 ]; then
        echo passed
    elif [ "$1" -gt 128 ]; then
        echo "ended by signal $(($1 - 128))"
    else
        echo "failed with exit code $1"
    fi
}

# run NAME SECONDS COMMAND...: what it says goes to the log and to the terminal; ends with its exit code.
run() {
    name=$1 limit=$(at_most "$2")
    shift 2
    before=$(wc -c <"$log")
    began=$(date +%s)
    echo "== $name (at most $limit s)" >>"$log"
    # In the background, because the shell acts on a signal during `wait`, but not during a command.
    timeout -k "$grace" "$limit" "$@" >>"$log" 2>&1 &
    current=$!
    wait "$current"
    code=$?
    current=
    seconds=$(($(date +%s) - began))
    tail -c "+$((before + 1))" "$log"
    said=$(outcome "$code")
    # `timeout` ends with 124, or with 137 after the signal that cannot be ignored.
    case $code in
    124 | 137) [ "$seconds" -lt "$limit" ] || said="ended by the time limit of $limit s" ;;
    esac
    say_part "$name: $said, $seconds s"
    return "$code"
}

# check NAME SECONDS COMMAND...: a failure runs again with each kernel waited for, so that the one that failed is
# named; ends with the exit code of the last run.
check() {
    run "$@" && return
    failed=1
    again="$1, once more, waiting for each kernel" limit=$2
    shift 2
    run "$again" "$limit" env CUDA_LAUNCH_BLOCKING=1 "$@"
}

# PyTorch's compiler takes minutes on the CPU, so it starts now, and waits to be timed until the GPU is free. It makes
# the file go.ready when it is done, and times when there is the file go. The limit here is for the case that this
# script is killed; those of the part are in `bench`.
case " $parts " in
*" bench "*)
    if command -v python3 >/dev/null 2>&1; then
        started=$(date +%s)
        timeout -k "$grace" 900 python3 "$here/bench.py" "$here" "$out" --wait "$work/go" >"$work/bench.txt" 2>&1 &
        preparing=$!
    fi
    ;;
esac

# await FILE BEGAN SECONDS: waits until the file is there, the benchmark has ended, or the seconds since BEGAN are over.
await() {
    while [ ! -e "$1" ] && kill -0 "$preparing" 2>/dev/null && [ "$(date +%s)" -le "$(($2 + $3))" ]; do
        sleep 0.2
    done
}

# The preparation has a time limit from the start of the script, and has at least until the parts before are done.
# That of the timing counts from when the preparation is done and the GPU is free.
bench() {
    if [ -z "$preparing" ]; then
        say "bench: python3 is missing, or was asked for twice: nothing is timed"
        return
    fi
    doing=preparation began=$started limit=$(at_most 240)
    await "$work/go.ready" "$began" "$limit"
    if [ -e "$work/go.ready" ]; then
        doing=timing began=$(date +%s) limit=$(at_most 90)
        : >"$work/go"
        await "" "$began" "$limit"
    fi
    late=
    if kill -0 "$preparing" 2>/dev/null; then
        late="the $doing was ended by its time limit of $limit s"
        kill "$preparing"
    fi
    wait "$preparing"
    code=$?
    preparing=
    echo "== bench" >>"$log"
    cat "$work/bench.txt" >>"$log"
    cat "$work/bench.txt"
    said=${late:-$(outcome "$code")}
    # Without PyTorch it ends well before it is ready.
    [ -n "$late" ] || [ "$code" -ne 0 ] || [ -e "$work/go.ready" ] || said="nothing was timed"
    [ -z "$late" ] && [ "$code" -eq 0 ] || failed=1
    say_part "bench: $said, $(($(date +%s) - began)) s of $doing"
}

for part in $parts; do
    case $part in
    preflight)
        check preflight 15 "$here/gpu-test" preflight "$here" "$out" || {
            # The other parts would fail in the same way.
            echo "the GPU cannot be used; see $log" >&2
            exit 3
        }
        ;;
    ops) check ops 60 "$here/gpu-test" ops "$here" "$out" ;;
    goldens) check goldens 60 "$here/gpu-test" goldens "$here" "$out" ;;
    training) check training 80 "$here/gpu-test" training "$here" "$out" ;;
    bench) bench ;;
    memcheck)
        # Accesses out of bounds, in a few ops of each kind and in the steps of a small network.
        if command -v compute-sanitizer >/dev/null 2>&1; then
            run memcheck 45 compute-sanitizer --tool memcheck --error-exitcode 9 --log-file "$out/memcheck.txt" \
                "$here/gpu-test" ops-few "$here" "$out" || failed=1
        else
            say "compute-sanitizer is not on the search path: left out"
        fi
        ;;
    esac
done
exit "$failed"
