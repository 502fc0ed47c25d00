# Sourced by the other scripts: `as_root CMD…` runs CMD as root, through sudo if need be; `find_missing PACKAGE…` puts those of
# the named Debian packages that are not installed into `missing`.
find_missing() {
    missing=()
    local package status
    for package in "$@"; do
        status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
        [ "$status" = "install ok installed" ] || missing+=("$package")
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -- "$@"
    else
        echo "setup: '$*' needs root, and there is no sudo: run this once as root" >&2
        return 1
    fi
}
