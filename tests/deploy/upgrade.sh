#!/usr/bin/env bash
# Test of upgrades under a real systemd. A working upgrade must take over. After an upgrade that crashes at start, the
# old version must run again. The Debian package must start, stop and keep its service.
#   sudo tests/deploy/upgrade.sh [FOLDER]
# FOLDER (default: /var/tmp/earshot-boot) keeps a Debian bookworm for the next run. Needs debootstrap,
# systemd-container. Environment: PARTS, "installer", "package" or both.
set -euo pipefail
# shellcheck source=tests/deploy/roots.sh
. "$(dirname "$0")/roots.sh"
# shellcheck source=tests/deploy/nspawn.sh
. "$(dirname "$0")/nspawn.sh"
folder=${1:-/var/tmp/earshot-boot}
root=$folder/bookworm-amd64-upgrade
install=/root/earshot/deploy/install.sh
parts=${PARTS:-installer package}

main() {
    make_root "$folder/bookworm-amd64" bookworm amd64 ca-certificates,systemd,systemd-sysv,dbus
    copy_root "$folder/bookworm-amd64" "$root"
    give_project "$root" /root/earshot
    trap halt_root EXIT
    boot_root "$root"
    for part in $parts; do "try_$part"; done
    say "all good"
}

try_installer() {
    in_machine "$install"
    runs "after the installation"
    first=$(current)
    process=$(main_process)
    in_machine "$install"
    [ "$(current)" = "$first" ] || fail "a second installation changed the version"

    say "--- an upgrade that crashes at start"
    crash_at_start
    code=0
    in_machine "$install" --upgrade || code=$?
    [ "$code" -eq 70 ] || fail "the installer ends with $code, not 70"
    runs "after an upgrade that crashes"
    [ "$(current)" = "$first" ] || fail "the crashing version is still the current one"
    [ "$(main_process)" != "$process" ] || fail "the daemon was not restarted"

    say "--- a working upgrade"
    cp "$repository/device/cli/run.py" "$root/root/earshot/device/cli/run.py"
    echo "# the next version" >>"$root/root/earshot/device/cli/run.py"
    in_machine "$install" --upgrade
    runs "after an upgrade"
    [ "$(current)" != "$first" ] || fail "the upgrade changed nothing"

    say "--- rollback"
    in_machine /opt/earshot/current/deploy/install.sh --rollback
    runs "after --rollback"
    [ "$(current)" = "$first" ] || fail "--rollback did not bring back $first"

    say "--- removal"
    in_machine /opt/earshot/current/deploy/install.sh --uninstall
    ! in_machine systemctl is-active --quiet earshot.service || fail "the service still runs after --uninstall"
    in_machine test -e /etc/earshot/config.yaml || fail "--uninstall deletes the settings"
}

try_package() {
    local process
    say "--- the Debian package"
    ARCHITECTURE=$(dpkg --print-architecture) COMPRESSION=none "$repository/deploy/debian/build.sh" "$root/root"
    in_machine apt-get update -qq
    apt install /root/earshot_*.deb
    runs "after apt install"
    process=$(main_process)
    apt install --reinstall /root/earshot_*.deb
    runs "after the package was installed again"
    [ "$(main_process)" != "$process" ] || fail "the package does not restart the service"
    apt remove earshot
    ! in_machine systemctl is-active --quiet earshot.service || fail "the service still runs after apt remove"
    apt purge earshot
    ! in_machine test -e /etc/earshot || fail "purging leaves /etc/earshot"
    ! in_machine test -e /var/lib/private/earshot || fail "purging leaves the data"
}

# The shell in the machine expands the pattern of the file name.
apt() {
    in_machine env DEBIAN_FRONTEND=noninteractive sh -c "apt-get -qq -y --no-install-recommends $*" >"$folder/apt.log" 2>&1 ||
        { cat "$folder/apt.log" >&2; fail "apt-get $*"; }
}

crash_at_start() {
    # Make the daemon crash while other commands work, a fault that no check before the start can find.
    sed -i '/^def run(/a\    raise SystemError("this version crashes at start")' "$root/root/earshot/device/cli/run.py"
}

current() { in_machine readlink /opt/earshot/current; }

main_process() { in_machine systemctl show --property=MainPID --value earshot.service; }

runs() {
    [ "$(in_machine systemctl is-active earshot.service)" = active ] ||
        { in_machine journalctl --no-pager --lines=20 --unit=earshot >&2; fail "$1 the service does not run"; }
    say "$1 the service runs: $(in_machine systemctl show --property=StatusText --value earshot.service)"
}

main "$@"
