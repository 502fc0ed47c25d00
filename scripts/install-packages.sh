#!/usr/bin/env bash
# Installs those of the named Debian packages that are missing: install-packages.sh PACKAGE…
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/root.sh"

find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0
"$here/refresh-packages.sh"
echo "setup: as root: apt-get install ${missing[*]} (downloads these packages and what they depend on)"
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
