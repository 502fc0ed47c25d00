#!/usr/bin/env bash
# Refreshes the package lists, once per checkout and day; XTASK_TOOLS is where that is remembered.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/root.sh"

stamp=${XTASK_TOOLS:-$here/../target/tools}/apt-updated
[ -z "$(find "$stamp" -mtime -1 2>/dev/null)" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: no apt-get here; the packages must be installed by hand" >&2
    exit 1
fi
echo "setup: as root: apt-get update (downloads the package lists)"
# A half-answering mirror is no reason to stop: the install that follows says what is really missing.
as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
mkdir -p "$(dirname "$stamp")"
touch "$stamp"
