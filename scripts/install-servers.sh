#!/usr/bin/env bash
# Installs those of the named server packages that are missing, and starts none of them: install-servers.sh PACKAGE…
# Debian's packages start their service when they are installed, unless policy-rc.d forbids it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/root.sh"

find_missing "$@"
[ ${#missing[@]} -gt 0 ] || exit 0

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    echo "setup: as root: $policy forbids starting services while packages are installed; it is removed afterwards"
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
fi
"$here/install-packages.sh" "${missing[@]}"
