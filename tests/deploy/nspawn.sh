# shellcheck shell=bash
# Functions to boot a Debian of make_root (roots.sh) in systemd-nspawn, with its own systemd as process 1. It shares
# this machine's network by default.

boot_root() { # boot_root ROOT [OPTION OF SYSTEMD-NSPAWN...]
    local root=$1
    shift
    need systemd-nspawn systemd-container
    say "booting $root"
    leave_root "$root"
    # The machine cannot be registered if no systemd runs outside. Commands therefore enter by the id of its process 1.
    systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --console=pipe \
        --resolv-conf=off --timezone=off "$@" </dev/null >"$root.console" 2>&1 &
    nspawn=$!
    until_true 180 has_booted || { tail -n 20 "$root.console" >&2; fail "$root does not boot, see $root.console"; }
}

has_booted() {
    leader=$(pgrep --parent "$nspawn" | head -n 1) && [ "$leader" ] &&
        case $(in_machine systemctl is-system-running 2>/dev/null) in running | degraded) true ;; *) false ;; esac
}

# until_true SECONDS COMMAND...
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 1
    done
}

# Run a command in the booted machine: in_machine COMMAND...
in_machine() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd \
        env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

halt_root() {
    [ "${nspawn:-}" ] || return 0
    kill -TERM "$nspawn" 2>/dev/null || true # nspawn makes its process 1 power off
    wait "$nspawn" || true
    nspawn=
}
