#!/usr/bin/env bash
# Builds bpf-linker into a private root: install-bpf-linker.sh LLVM_MAJOR ROOT
# Its LLVM must not be older than the compiler's: the lowest packaged one from LLVM_MAJOR up is taken.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wanted=$1
root=$2

packaged() {
    [[ $(apt-cache policy "llvm-$1-dev" 2>/dev/null) == *"Candidate: "[0-9]* ]]
}
pick() {
    local major
    for major in 21 22 23; do
        if [ "$major" -ge "$wanted" ] && packaged "$major"; then
            echo "$major"
            return
        fi
    done
}
"$here/refresh-packages.sh"
major=$(pick)
if [ -z "$major" ]; then
    echo "setup: no llvm-NN-dev package with NN >= $wanted (bpf-linker knows 21 to 23): install bpf-linker by hand" >&2
    exit 1
fi
"$here/install-packages.sh" "llvm-$major-dev" "libpolly-$major-dev" build-essential zlib1g-dev libzstd-dev
echo "setup: cargo install bpf-linker --features llvm-$major --root $root (downloads it and its crates, builds for about a minute, no root)"
LLVM_PREFIX=/usr/lib/llvm-$major cargo install bpf-linker --version 0.13.0 --locked \
    --no-default-features --features "llvm-$major" --root "$root" --quiet
