#!/bin/sh
# Checks and times the project on a machine with an NVIDIA GPU: everything in this folder is prebuilt, so no
# Rust is needed. It wants x86-64 Linux, a GPU of compute capability 8.0 or newer, a driver and a toolkit
# of CUDA 13 (libcublas and libnvrtc are taken from it, or from PyTorch's wheels), and, for the times, PyTorch.
#
#   ./run.sh [OUT]        results go to OUT, results/ beside this script where none is named
#
# Exit code 0: all is well; 1: a check failed; 3: no GPU, or something that it needs is missing.
here=$(cd "$(dirname "$0")" && pwd) || exit 3
out=${1:-$here/results}

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
absent=$(ldd "$here/gpu-test" | grep 'not found')
[ -z "$absent" ] || missing "libraries are missing; install the CUDA 13 toolkit or set CUDA_PATH:
$absent"

mkdir -p "$out" || exit 3
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv >"$out/card.txt"
cat "$out/card.txt"

"$here/gpu-test" check "$here" "$out"
code=$?
[ "$code" -eq 3 ] && exit 3

# Accesses out of bounds, in each op once; races in shared memory, and reads of what nobody wrote, which are told
# but not counted, since libraries of NVIDIA's are looked at, too.
sanitize() {
    echo "compute-sanitizer, $1"
    compute-sanitizer --tool "$1" --error-exitcode 9 "$here/gpu-test" ops "$here" "$out/$1" >"$out/$1.log" 2>&1 && return
    echo "compute-sanitizer, $1: see $out/$1.log" >&2
    [ "$1" = memcheck ] && code=1
}
if command -v compute-sanitizer >/dev/null 2>&1; then
    for tool in memcheck racecheck initcheck; do sanitize "$tool"; done
else
    echo "compute-sanitizer is not on the search path: left out"
fi

if command -v python3 >/dev/null 2>&1; then
    python3 "$here/bench.py" "$here" "$out" || code=1
else
    echo "python3 is missing: nothing is timed"
fi
exit "$code"
