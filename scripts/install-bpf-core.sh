#!/usr/bin/env bash
# Gets a `core` for bpfel-unknown-none: rustup's rust-src if it answers, else Debian's precompiled one.
# install-bpf-core.sh [any|rust-src|packages]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
way=${1:-any}

if [ "$way" != packages ] && command -v rustup >/dev/null 2>&1; then
    echo "setup: rustup component add rust-src (downloads the standard library's source, about 5 MB, no root)"
    if timeout 120 rustup component add rust-src; then
        exit 0
    fi
    echo "setup: rustup did not answer"
fi
[ "$way" != rust-src ] || exit 1

"$here/refresh-packages.sh"
candidate() {
    [[ $(apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[0-9]* ]]
}
if candidate libstd-rust-web-dev-bpf; then
    exec "$here/install-packages.sh" rustc-web cargo-web libstd-rust-web-dev-bpf
fi
exec "$here/install-packages.sh" rustc cargo libstd-rust-dev-bpf
