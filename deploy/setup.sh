#!/usr/bin/env bash
# Makes .venv with what `make demo` or `make test` needs. Called by the Makefile; quick when nothing is to be done.
#   deploy/setup.sh demo|test
# Environment: PYTHON, the interpreter to build .venv with (default: python3).
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/packages.sh

purpose=${1:?usage: deploy/setup.sh demo|test}
python=${PYTHON:-python3}
case $purpose in
demo) extras=demo packages=() ;;
test)
    extras=demo,microphone,service,training,test
    # A real broker and certificates for it, a real sound server to play the USB microphone, what PyAudio and
    # systemd-python are built from, and a judge of shell scripts.
    packages=(mosquitto openssl pulseaudio pulseaudio-utils libasound2-plugins portaudio19-dev libsystemd-dev pkg-config
        python3-dev gcc shellcheck)
    ;;
*) echo "setup: '$purpose' is neither demo nor test" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 69; }

install_from_debian() {
    local missing
    missing=$(missing_packages "$@")
    [ "$missing" ] || return 0
    command -v apt-get >/dev/null || die "please install these yourself, this is not Debian: $missing"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || die "run this once as root: apt-get install $missing"
    say "installing from Debian: $missing"
    # shellcheck disable=SC2086  # a list of names
    install_packages $missing || die "apt-get could not install them"
}

command -v "$python" >/dev/null || install_from_debian python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$python" --version) is too old, Earshot needs 3.11 or later. Set PYTHON to a newer one"
install_from_debian ${packages[@]+"${packages[@]}"}

# A stamp a purpose: the environment is renewed when pyproject.toml changes.
stamp=.venv/.earshot-$purpose-$(sha256sum pyproject.toml | cut -c1-16)
[ ! -e "$stamp" ] || exit 0

if [ ! -x .venv/bin/pip ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_from_debian python3-venv
    say "making the virtual environment .venv"
    "$python" -m venv .venv
fi
say "installing Python packages from PyPI into .venv (extras: $extras)"
.venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$extras]" 2>"$PWD/.venv/pip.log" ||
    { cat .venv/pip.log >&2; die "pip could not install them"; }
rm -f .venv/.earshot-"$purpose"-*
touch "$stamp"
