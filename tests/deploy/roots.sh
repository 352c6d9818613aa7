# shellcheck shell=bash
# Functions to create a Debian in a folder, for the scripts here, which source this file and are run as root. Its
# packages come from the same mirrors as on this machine, with this machine's name servers and certificates.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
fail() { printf '%s: FAILED: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null || { echo "$(basename "$0"): $1 is not installed: apt-get install $2" >&2; exit 69; }
}

# Create a fresh Debian: make_root FOLDER SUITE ARCHITECTURE PACKAGES. An interrupted one is created again.
make_root() {
    local root=$1 suite=$2 architecture=$3 packages=$4 mirror
    [ ! -e "$root.ready" ] || return 0
    need debootstrap debootstrap
    mirror=${MIRROR:-$(mirror_of_this_machine)}
    say "creating Debian $suite, $architecture, in $root"
    remove_root "$root"
    mkdir -p "$(dirname "$root")"
    debootstrap --arch="$architecture" --variant=minbase --include="$packages" "$suite" "$root" "$mirror" \
        >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; fail "debootstrap, see $root.log"; }
    leave_root "$root"
    give_network "$root"
    touch "$root.ready"
}

mirror_of_this_machine() {
    find /etc/apt -name '*.list' -o -name '*.sources' | sort | xargs cat |
        sed -nE 's/^(URIs:|deb) (\[.*\] )?(https?:[^ ]*).*/\3/p' | sed -n 1p
}

give_network() {
    local root=$1 file
    rm -f "$root/etc/resolv.conf"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
    mkdir -p "$root/etc/apt/apt.conf.d"
    for file in /etc/apt/apt.conf.d/99*; do [ ! -e "$file" ] || cp "$file" "$root/etc/apt/apt.conf.d"; done
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ntimeout = 180\n' >"$root/etc/pip.conf"
}

# Make a copy that can be changed: copy_root FROM TO
copy_root() {
    remove_root "$2"
    cp -a --reflink=auto "$1" "$2"
}

# Copy the working tree, without files that git ignores: give_project ROOT FOLDER
give_project() {
    mkdir -p "$1$2"
    git -C "$repository" ls-files -z --cached --others --exclude-standard |
        tar -C "$repository" --null --files-from=- --ignore-failed-read -cf - | tar -C "$1$2" --no-same-owner -xf -
}

# Run a command in it, without this shell's environment: in_root ROOT COMMAND...
in_root() {
    local root=$1
    shift
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
    # Under emulation, use the CPU of a Pi 4. The SVE of qemu's default CPU, which no Pi has, makes numpy 2.5 wrong
    # (qemu 7.2).
    env -i QEMU_CPU=cortex-a72 HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$root" "$@"
}

leave_root() {
    while mountpoint -q "$1/proc"; do umount "$1/proc"; done
}

remove_root() {
    leave_root "$1"
    rm -rf --one-file-system "$1" "$1.ready"
}
