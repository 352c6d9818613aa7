#!/usr/bin/env bash
# Test of the installer and of the Debian package on arm64, in Debian bookworm and trixie, emulated by qemu. Afterwards
# `earshot check` may report only the microphone and the speed as faults, and `earshot classify` must give the same
# labels and scores as on this machine.
#   sudo tests/deploy/arm64.sh [FOLDER [SUITE...]]
# FOLDER (default: /var/tmp/earshot-arm64) keeps the two Debian systems (300 MB each) for the next run. Needs
# debootstrap, mosquitto, qemu-user-static, and this project's .venv for comparison. Takes an hour, because qemu is
# slow. Environment: PARTS, "installer", "package" or both; DEB, a package built earlier; PYTHON, an interpreter instead
# of .venv's.
set -euo pipefail
# shellcheck source=tests/deploy/roots.sh
. "$(dirname "$0")/roots.sh"
folder=${1:-/var/tmp/earshot-arm64}
shift || true
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)
parts=${PARTS:-installer package}
python=${PYTHON:-$repository/.venv/bin/python}
port=${PORT:-18883}

main() {
    need qemu-aarch64-static qemu-user-static
    need mosquitto mosquitto
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
    mkdir -p "$folder"
    # The chroots share this machine's network. The broker runs here, where it is not emulated and therefore fast.
    printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$folder/mosquitto.conf"
    mosquitto -c "$folder/mosquitto.conf" 2>"$folder/mosquitto.log" &
    broker=$!
    trap 'kill "$broker"; for suite in "${suites[@]}"; do leave_root "$folder/$suite"; leave_root "$folder/$suite-earshot"; done' EXIT
    cut_recording
    (cd "$repository" && "$python" -m device classify --json "$folder"/cut/*) >"$folder/here.json"
    for suite in "${suites[@]}"; do try "$suite"; done
    say "all good"
}

# Cut the sounds out of the demo's recording, 4 s each. Scores of the whole minute would be an uninformative mean.
cut_recording() {
    mkdir -p "$folder/cut"
    "$python" - "$repository/deploy/demo/street.flac" "$folder/cut" <<'PYTHON'
import sys, soundfile
sound, rate = soundfile.read(sys.argv[1], dtype="int16")
for name, start in {"quiet": 0, "dog": 5, "horn": 17, "shot": 29, "jackhammer": 40, "other_horn": 53}.items():
    soundfile.write(f"{sys.argv[2]}/{name}.flac", sound[start * rate : (start + 4) * rate], rate)
PYTHON
}

try() {
    local suite=$1 root=$folder/$1-earshot
    make_root "$folder/$suite" "$suite" arm64 ca-certificates,systemd,systemd-sysv
    copy_root "$folder/$suite" "$root"
    give_project "$root" /root/earshot
    cp -r "$folder/cut" "$root/root"
    for part in $parts; do "try_$part" "$suite" "$root"; done
    leave_root "$root"
}

try_installer() {
    local suite=$1 root=$2
    timed "$suite: installer" in_root "$root" /root/earshot/deploy/install.sh
    timed "$suite: installer again, with nothing to do" in_root "$root" /root/earshot/deploy/install.sh
    in_root "$root" systemctl is-enabled --quiet earshot.service || fail "$suite: the service is not enabled"
    judge "$suite" "$root" /usr/local/bin/earshot
    in_root "$root" /opt/earshot/current/deploy/install.sh --uninstall --purge
    gone "$suite: --uninstall --purge" "$root" /opt/earshot /etc/earshot /etc/systemd/system/earshot.service /usr/local/bin/earshot
}

try_package() {
    local suite=$1 root=$2
    cp "${DEB:-$(made_package)}" "$root/root/earshot.deb"
    in_root "$root" apt-get update -qq
    timed "$suite: apt install ./earshot.deb" apt "$root" install /root/earshot.deb
    judge "$suite" "$root" /usr/bin/earshot
    echo '# mine' >>"$root/etc/earshot/config.yaml"
    timed "$suite: the package again" apt "$root" install --reinstall /root/earshot.deb
    grep -q '# mine' "$root/etc/earshot/config.yaml" || fail "$suite: installing the package again loses the settings"
    apt "$root" remove earshot
    gone "$suite: removing the package" "$root" /usr/lib/earshot /usr/bin/earshot
    grep -q '# mine' "$root/etc/earshot/config.yaml" || fail "$suite: removing the package deletes the settings"
    apt "$root" purge earshot
    gone "$suite: purging the package" "$root" /etc/earshot
}

apt() {
    local root=$1
    shift
    in_root "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@" >"$folder/apt.log" 2>&1 ||
        { cat "$folder/apt.log" >&2; fail "apt-get $*"; }
}

made_package() {
    "$repository/deploy/debian/build.sh" "$folder" >&2
    ls "$folder"/earshot_*_arm64.deb
}

# Fail if a path still exists: gone ACTION ROOT PATH...
gone() {
    local what=$1 root=$2 path
    shift 2
    for path in "$@"; do [ ! -e "$root$path" ] || fail "$what leaves $(find "$root$path" | head -n 3)"; done
}

timed() {
    local what=$1 began=$SECONDS
    shift
    "$@"
    say "$what: $((SECONDS - began)) s"
}

# Compare the faults and the scores of the installation with those expected: judge SUITE ROOT COMMAND
judge() {
    local suite=$1 root=$2 command=$3
    in_root "$root" "$command" check --json --set mqtt.host=127.0.0.1 --set mqtt.port="$port" \
        >"$folder/$suite.check.json" || true # exit code 69: no microphone
    in_root "$root" sh -c "$command classify --json /root/cut/*" >"$folder/$suite.json" || fail "$suite: classify"
    python3 "$repository/tests/deploy/compare.py" "$folder/$suite.check.json" "$folder/here.json" "$folder/$suite.json" ||
        fail "$suite: the results of $command differ from those on this machine"
}

main "$@"
