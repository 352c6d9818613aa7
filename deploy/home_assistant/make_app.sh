#!/usr/bin/env bash
# Makes the app repository for Home Assistant: deploy/home_assistant/make_app.sh FOLDER [IMAGE]
#   make_app.sh FOLDER           FOLDER/earshot contains the sources; Home Assistant builds the image. Copy it to the
#                                machine's folder `addons` (docs/container.md).
#   make_app.sh FOLDER IMAGE     FOLDER/earshot names a published image, as in registry.example/earshot-app, whose tag
#                                is the version. Publish FOLDER as a git repository, and add its address in Home Assistant.
# Home Assistant searches a repository for files called config.yaml and passes over folders called rootfs. The project
# has one of its own, so its clone is no app repository.
set -euo pipefail
umask 022
project=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "make_app.sh: one or two arguments: FOLDER [IMAGE]" >&2
    exit 2
fi
[ ! -e "$1/earshot" ] || { echo "make_app.sh: $1/earshot exists. Remove it first" >&2; exit 2; }
image=${2:-}

mkdir -p "$1/earshot"
target=$(cd "$1" && pwd)
cd "$project"
cp deploy/home_assistant/repository.yaml "$target"
cp -r deploy/home_assistant/app/. CHANGELOG.md "$target/earshot"
rm -rf "$target/earshot/__pycache__"
if [ -n "$image" ]; then
    rm "$target/earshot/start.py"
    printf 'image: %s\n' "$image" >>"$target/earshot/config.yaml"
else
    mkdir "$target/earshot/rootfs"
    # The files that deploy/debian/build.sh reads, as in deploy/container/Dockerfile.dockerignore.
    cp -r --parents device training deploy/{debian,systemd,completion,requirements.txt} docs models/urbansound8k \
        models/urbansound8k-light config.yaml pyproject.toml README.md CHANGELOG.md LICENSE "$target/earshot/rootfs"
    rm -rf "$target/earshot/rootfs/docs/pictures"
    find "$target/earshot/rootfs" -depth -name __pycache__ -exec rm -rf {} +
    # The Supervisor builds the last stage, from the app's folder.
    sed 's#^ARG PROJECT=.*#ARG PROJECT=rootfs#; s#^ARG APP=.*#ARG APP=.#' deploy/container/Dockerfile >"$target/earshot/Dockerfile"
    printf '\nFROM app\n' >>"$target/earshot/Dockerfile"
fi
