#!/usr/bin/env bash
# Test against a real Home Assistant from PyPI, in a Debian trixie of its own, because it needs Python 3.13.
#   sudo tests/home_assistant/run.sh [FOLDER]
# FOLDER (default: /var/tmp/earshot-home-assistant) is created at the first run, which downloads some 500 MB. It may be
# deleted afterwards. Needs debootstrap and the packages of `make test`. The Debian in FOLDER uses the same mirrors, name
# servers and certificates as this machine.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
root=${1:-/var/tmp/earshot-home-assistant}
version=2026.2.3

command -v debootstrap >/dev/null || { echo "run.sh: debootstrap is not installed: apt-get install debootstrap" >&2; exit 69; }
if [ ! -e "$root/ha/ready-$version" ]; then
    [ -e "$root/usr/bin/python3" ] || debootstrap --variant=minbase \
        --include=python3,python3-venv,python3-dev,gcc,g++,libc6-dev,ca-certificates trixie "$root"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
    chroot "$root" python3 -m venv /ha
    # Home Assistant would install paho-mqtt itself when its MQTT integration starts.
    chroot "$root" /ha/bin/pip install --quiet "homeassistant==$version" "paho-mqtt==2.1.0"
    touch "$root/ha/ready-$version"
fi
cd "$repository"
exec "${PYTHON:-.venv/bin/python}" tests/home_assistant/check.py "$root"
