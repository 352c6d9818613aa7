#!/usr/bin/env bash
# Builds the Debian package: deploy/debian/build.sh [FOLDER] writes FOLDER/earshot_VERSION_ARCHITECTURE.deb
# Runs on any Debian with Python and access to PyPI, without root. Environment: ARCHITECTURE=amd64 builds one for PCs
# (default: arm64); COMPRESSION=none is fast, and the file is five times as large; PYTHONS=3.11 leaves out the other one.
#
# The package contains the Python packages, unpacked: dpkg lists each file, nothing is downloaded or built on the Pi,
# and the tested versions are the ones that run. They are included twice, for the Python versions of Bookworm and
# Trixie, so that one file serves both and Earshot keeps working after an upgrade of Debian. The layout is that of a
# virtual environment: pyvenv.cfg, a link to Debian's Python, and one lib/pythonX.Y for each Python version.
set -euo pipefail
umask 022
project=$(cd "$(dirname "$0")/../.." && pwd)
target=$(realpath "${1:-.}")
architecture=${ARCHITECTURE:-arm64}
read -ra pythons <<<"${PYTHONS:-3.11 3.13}"
home=usr/lib/earshot

case $architecture in
arm64) machine=aarch64 ;;
amd64) machine=x86_64 ;;
*) echo "build.sh: ARCHITECTURE is '$architecture', must be arm64 or amd64" >&2; exit 2 ;;
esac
for command in dpkg-deb python3 md5sum; do
    command -v "$command" >/dev/null || { echo "build.sh: $command is not installed" >&2; exit 69; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$project/pyproject.toml")-1

main() {
    put_python_packages
    put_project
    put_control
    mkdir -p "$target"
    dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$tree" "$target/earshot_${version}_$architecture.deb" >/dev/null
    du -h "$target/earshot_${version}_$architecture.deb"
}

# Install for another architecture and other Python versions, with uv, because pip uses the markers of its own Python.
put_python_packages() {
    local python packages
    python3 -m venv "$work/tools"
    "$work/tools/bin/pip" install --quiet --disable-pip-version-check uv setuptools wheel
    cp -r "$project/device" "$project/training" "$project/pyproject.toml" "$project/README.md" "$project/LICENSE" "$work"
    "$work/tools/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --wheel-dir "$work" "$work"
    for python in "${pythons[@]}"; do
        packages=$tree/$home/lib/python$python/site-packages
        "$work/tools/bin/uv" pip install --quiet --no-config --target "$packages" --link-mode copy \
            --python-version "$python" --python-platform "$machine-manylinux_2_36" --only-binary :all: \
            --requirement "$project/deploy/requirements.txt" "$work"/earshot-*.whl
        # Remove programs, uv's lock, litert's GPU library, tests, C headers and type stubs: a third of the size.
        rm -rf "${packages:?}/bin" "$packages/.lock" "$packages/ai_edge_litert/libLiteRtWebGpuAccelerator.so"
        find "$packages" -depth \( -type d \( -name tests -o -name include -o -name __pycache__ \) -o -name '*.pyi' \) -exec rm -rf {} +
        # Of SciPy, the device loads one compiled module, which depends on nothing (device/util/fft.py). The rest is half
        # of the package.
        if compgen -G "$packages/scipy/fft/_pocketfft/pypocketfft*.so" >/dev/null; then
            rm -rf "$packages/scipy.libs"
            find "$packages/scipy" -type f ! -name 'pypocketfft*.so' -delete
            find "$packages/scipy" -type d -empty -delete
        fi
        find "$packages" -type f -exec chmod 644 {} +
    done
}

put_project() {
    local root=$tree/$home unit
    mkdir -p "$root/bin" "$tree/usr/bin" "$tree/etc/earshot" "$tree/usr/lib/systemd/system" "$tree/usr/share/doc/earshot"
    printf 'home = /usr/bin\ninclude-system-site-packages = true\n' >"$root/pyvenv.cfg"
    ln -s /usr/bin/python3 "$root/bin/python3"
    ln -s python3 "$root/bin/python"
    printf '#!/%s/bin/python3\nimport sys\n\nfrom device.cli.main import main\n\nsys.exit(main())\n' "$home" >"$root/bin/earshot"
    chmod 755 "$root/bin/earshot"
    ln -s "../lib/earshot/bin/earshot" "$tree/usr/bin/earshot"
    cp -r --parents models/urbansound8k models/urbansound8k-light "$root"
    cp config.yaml "$tree/etc/earshot/config.yaml"
    # model.bundle is relative to the config's folder, so the link makes the project's config.yaml valid here, too.
    ln -s /usr/lib/earshot/models "$tree/etc/earshot/models"
    for unit in deploy/systemd/*.service; do
        sed 's#/opt/earshot/current/\.venv#/usr/lib/earshot#; s#/opt/earshot/current/docs#/usr/share/doc/earshot/docs#' \
            "$unit" >"$tree/usr/lib/systemd/system/${unit##*/}"
    done
    install -D -m 644 deploy/completion/earshot.bash "$tree/usr/share/bash-completion/completions/earshot"
    install -D -m 644 deploy/completion/_earshot "$tree/usr/share/zsh/vendor-completions/_earshot"
    install -D -m 644 deploy/completion/earshot.fish "$tree/usr/share/fish/vendor_completions.d/earshot.fish"
    cp -r README.md docs "$tree/usr/share/doc/earshot"
    gzip -9n <CHANGELOG.md >"$tree/usr/share/doc/earshot/changelog.gz"
    printf 'earshot (%s) unstable; urgency=medium\n\n  * What is new: changelog.gz.\n\n -- %s  %s\n' \
        "$version" "$(sed -n 's/^Maintainer: //p' deploy/debian/control)" "$(date -R)" |
        gzip -9n >"$tree/usr/share/doc/earshot/changelog.Debian.gz"
    cp deploy/debian/copyright "$tree/usr/share/doc/earshot"
    chmod -R u=rwX,go=rX "$tree"
}

put_control() {
    local script
    mkdir "$tree/DEBIAN"
    for script in preinst postinst prerm postrm; do
        install -m 755 "deploy/debian/$script" "$tree/DEBIAN/$script"
    done
    echo /etc/earshot/config.yaml >"$tree/DEBIAN/conffiles"
    sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/" \
        -e "s/@SIZE@/$(du -sk --apparent-size "$tree" | cut -f 1)/" deploy/debian/control >"$tree/DEBIAN/control"
    (cd "$tree" && find . -type f -not -path './DEBIAN/*' -not -path ./etc/earshot/config.yaml -printf '%P\0' |
        sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
}

cd "$project"
main
