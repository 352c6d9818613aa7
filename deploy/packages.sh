# shellcheck shell=bash
# Functions on Debian packages, for the scripts that source this file.

# Print those of "$@" that are not installed, on one line.
missing_packages() {
    local package missing=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    printf '%s' "${missing[*]}"
}

# Install "$@", with sudo unless this is root. Print nothing, except apt's output on stderr if it fails.
install_packages() {
    local log code=0 as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    log=$(mktemp)
    {
        "${as_root[@]}" apt-get update -qq &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >"$log" 2>&1 || code=$?
    [ "$code" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$code"
}
