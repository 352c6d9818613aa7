#!/usr/bin/env bash
# Instruction counts on emulated cores of Raspberry Pis (Zero 2 W and 3, 4, 5), with the packages of Earshot's Debian
# package. Prints them beside the recorded ones. With --record, it records them, and writes the table of docs/hardware.md.
#   sudo benchmarks/aarch64.sh [--record] [--core CORE...]
# Environment: FOLDER (default: /var/tmp/earshot-arm64) keeps a Debian with Python, 300 MB, and the packages for the next
# run; SUITE, bookworm (default) or trixie; PYTHON, an interpreter instead of .venv's. The first run takes a quarter of an
# hour, further ones take ten minutes. Needs debootstrap, qemu-user-static for it, qemu-user and gcc. The static qemu loads
# no plugin; the version of qemu-user must be 7.2 to 8.x.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/deploy/roots.sh
. "$here/../tests/deploy/roots.sh"
folder=${FOLDER:-/var/tmp/earshot-arm64}
suite=${SUITE:-bookworm}
python=${PYTHON:-$repository/.venv/bin/python}

case $suite in
bookworm) version=3.11 ;;
trixie) version=3.13 ;;
*) echo "aarch64.sh: SUITE is '$suite', must be bookworm or trixie" >&2; exit 2 ;;
esac
need qemu-aarch64-static qemu-user-static
need qemu-aarch64 qemu-user
need gcc gcc
mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64

root=$folder/$suite-python
mkdir -p "$folder"
make_root "$root" "$suite" arm64 python3,ca-certificates
packages=$folder/packages-$version
rm -rf "$packages"
mkdir -p "$packages"
PYTHONS=$version COMPRESSION=none "$repository/deploy/debian/build.sh" "$packages" >&2
dpkg-deb -x "$packages"/earshot_*_arm64.deb "$packages"
gcc -O2 -shared -fPIC -o "$folder/count_instructions.so" "$here/count_instructions.c"
"$python" "$here/instructions.py" --counter qemu --root "$root" --plugin "$folder/count_instructions.so" \
    --packages "$packages/usr/lib/earshot/lib/python$version/site-packages" "$@"
case " $* " in *" --record "*)
    "$python" "$here/pi_estimate.py" --write
    chown --reference="$here/instructions.py" "$here/instructions.json" "$repository/docs/hardware.md"
    ;;
esac
