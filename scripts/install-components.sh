#!/usr/bin/env bash
# Adds parts of the Rust toolchain in use: install-components.sh COMPONENT…
set -euo pipefail
if ! command -v rustup >/dev/null 2>&1; then
    echo "setup: no rustup here; install by hand: $*" >&2
    exit 1
fi
echo "setup: rustup component add $* (downloads a few MB, no root)"
exec timeout 300 rustup component add "$@"
