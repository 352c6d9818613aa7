#!/usr/bin/env bash
# Creates .venv with the packages for `make demo` or `make test`. Called by the Makefile; fast if all is installed.
#   deploy/setup.sh demo|test
# Environment: PYTHON, the interpreter for .venv (default: python3).
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/packages.sh

purpose=${1:?usage: deploy/setup.sh demo|test}
python=${PYTHON:-python3}
case $purpose in
demo) extras=demo packages=() ;;
test)
    extras=demo,microphone,service,training,test
    # A broker with its clients, and certificates for it, a sound server in place of the USB microphone, the program that
    # reads streams, libraries to build PyAudio and systemd-python, and a linter for shell scripts.
    packages=(mosquitto mosquitto-clients jq openssl ffmpeg pulseaudio pulseaudio-utils libasound2-plugins portaudio19-dev
        libsystemd-dev pkg-config python3-dev gcc shellcheck)
    ;;
*) echo "setup: '$purpose' is neither demo nor test" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 69; }

install_from_debian() {
    local missing
    missing=$(missing_packages "$@")
    [ "$missing" ] || return 0
    command -v apt-get >/dev/null || die "apt-get is missing, as this is not Debian. Install by hand: $missing"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "sudo is missing. Run once as root: apt-get install $missing"
    say "installing from Debian: $missing"
    # shellcheck disable=SC2086  # a list of names
    install_packages $missing || die "apt-get failed: see above"
}

command -v "$python" >/dev/null || install_from_debian python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$python" --version) is too old, and Earshot needs 3.11 or later. Set PYTHON to a newer interpreter"
install_from_debian ${packages[@]+"${packages[@]}"}

# One stamp file for each purpose, with the hash of pyproject.toml: the environment is renewed when that changes.
stamp=.venv/.earshot-$purpose-$(sha256sum pyproject.toml | cut -c1-16)
[ ! -e "$stamp" ] || exit 0

if [ ! -x .venv/bin/pip ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_from_debian python3-venv
    say "creating the virtual environment .venv"
    "$python" -m venv .venv
fi
say "installing Python packages from PyPI into .venv (extras: $extras)"
.venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$extras]" 2>"$PWD/.venv/pip.log" ||
    { cat .venv/pip.log >&2; die "pip failed: see above"; }
rm -f .venv/.earshot-"$purpose"-*
touch "$stamp"
