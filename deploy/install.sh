#!/usr/bin/env bash
# Installs Earshot as a service, on Raspberry Pi OS or Debian, 64-bit: sudo deploy/install.sh
#
#   deploy/install.sh                install this version, skip what is already there, and start the service
#   deploy/install.sh --upgrade      replace the installed version; go back to it if the new one does not become ready
#   deploy/install.sh --rollback     go back to the previous version
#   deploy/install.sh --uninstall    remove the program, keep settings and data; with --purge, remove these, too
#   ... --web                        turn the page in the browser on as well (docs/web.md); it is off otherwise
#   ... --notify                     turn the notifications on as well (docs/notify.md); they are off otherwise
#   ... --dry-run                    print the steps and change nothing; needs no root
#
# It can be run again at any time, also after an interruption: each step checks whether it is already done. Nothing is
# changed on a machine that cannot run Earshot. Exit codes: 0 done, 2 wrong arguments, 69 this machine is not supported
# or something is missing (the message gives the reason), 70 the new version does not run and the previous one is back.
#
#   /opt/earshot/versions/VERSION    a copy of this project and its virtual environment, .venv
#   /opt/earshot/current, previous   links to the running version and to the previous one
#   /etc/earshot/config.yaml         settings, never overwritten
#   /etc/systemd/system              the units
set -euo pipefail
umask 022

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$project/deploy/packages.sh"

root=${EARSHOT_INSTALL_ROOT:-} # set by the tests, which install into a folder
home=$root/opt/earshot
settings=$root/etc/earshot
units=$root/etc/systemd/system
command=$root/usr/local/bin/earshot
# Completion of each shell: the file in deploy/completion, and the place where the shell looks for it.
declare -A completions=(
    [earshot.bash]=$root/usr/local/share/bash-completion/completions/earshot
    [_earshot]=$root/usr/local/share/zsh/site-functions/_earshot
    [earshot.fish]=$root/usr/local/share/fish/vendor_completions.d/earshot.fish
)
python=$root/usr/bin/python3 # Debian's own, because another Python does not find Debian's packages
# Contents of a version. Only the shipped bundle is copied, not bundles that were trained beside it.
parts=(device training models/urbansound8k models/urbansound8k-light deploy docs config.yaml pyproject.toml README.md LICENSE)
# PyAudio and systemd-python have no wheels. Debian's packages are used, so that no compiler is needed on a Pi.
packages=(python3-venv python3-pyaudio python3-systemd ca-certificates)
space_needed=900 # MB: two versions side by side, and pip's temporary files

say() { printf 'install: %s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 69; }
wrong() { printf 'install: %s. See the first lines of %s\n' "$*" "$0" >&2; exit 2; }

# Print a step and run its command; in a dry run, print only: step TEXT COMMAND...
step() {
    local text=$1
    shift
    if $dry_run; then say "would $text"; else say "$text" && "$@"; fi
}

main() {
    action=install dry_run=false purge=false web=false notify=false
    read_arguments "$@"
    $dry_run || [ "$(id -u)" -eq 0 ] || die "the installer needs root. Run: sudo $0 $*"
    one_at_a_time
    case $action in
    uninstall) uninstall ;;
    rollback) roll_back ;;
    *)
        check_machine
        version=$(version_of_project)
        check_what_is_installed
        install_debian_packages
        make_version
        make_settings
        [ "$(linked current)" = "$version" ] || step "make $version the current version" switch_to "$version"
        install_units
        start_and_judge
        ;;
    esac
}

read_arguments() {
    local argument
    for argument in "$@"; do
        case $argument in
        --upgrade | --rollback | --uninstall)
            [ "$action" = install ] || wrong "--$action and $argument exclude each other"
            action=${argument#--}
            ;;
        --dry-run) dry_run=true ;;
        --purge) purge=true ;;
        --web) web=true ;;
        --notify) notify=true ;;
        *) wrong "'$argument' is none of --upgrade, --rollback, --uninstall, --purge, --web, --notify, --dry-run" ;;
        esac
    done
    ! $purge || [ "$action" = uninstall ] || wrong "--purge goes with --uninstall"
    case $action in
    uninstall | rollback)
        ! $web || wrong "--web goes with an installation or --upgrade"
        ! $notify || wrong "--notify goes with an installation or --upgrade"
        ;;
    esac
}

one_at_a_time() {
    ! $dry_run || return 0
    mkdir -p "$root/run/lock"
    exec 9>"$root/run/lock/earshot-install"
    flock -n 9 || die "another installation is running. Wait until it is done"
}

# ---- Checks of the machine. They run before anything is changed.

check_machine() {
    local architecture release free folder
    command -v apt-get >/dev/null ||
        die "this is neither Raspberry Pi OS nor Debian: apt-get is missing. Install by hand: see docs/install.md"
    architecture=$(dpkg --print-architecture)
    case $architecture in
    arm64 | amd64) ;;
    *)
        die "this system is $architecture, and ai-edge-litert has no packages for it." \
            "Write the 64-bit Raspberry Pi OS to the card (it runs on a Pi 3, 4, 5 or Zero 2 W)"
        ;;
    esac
    if [ -x "$python" ]; then
        release=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        case $release in
        3.11 | 3.12 | 3.13 | 3.14) ;;
        *) die "Python is $release here, and Earshot needs 3.11 to 3.14. Use Raspberry Pi OS from Bookworm on" ;;
        esac
    fi
    folder=$(nearest_folder "$home")
    free=$(df --output=avail --block-size=1MB "$folder" | tail -n 1 | tr -d ' ')
    [ "$free" -ge "$space_needed" ] ||
        die "only $free MB are free at $folder, and $space_needed MB are needed. Free some space, or use a larger card"
}

# Print the folder, or its nearest parent that exists.
nearest_folder() {
    local folder=$1
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    printf '%s' "$folder"
}

# Print the version in pyproject.toml with a digest of the files, so that two states of the project have two versions.
version_of_project() {
    local part digest
    for part in "${parts[@]}"; do
        [ -e "$project/$part" ] || die "$project/$part is missing. Run the installer from a complete copy of Earshot"
    done
    digest=$(cd "$project" && find "${parts[@]}" -type f -not -path '*/__pycache__/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-8)
    printf '%s+%s' "$(sed -n 's/^version = "\(.*\)"$/\1/p' "$project/pyproject.toml")" "$digest"
}

check_what_is_installed() {
    local current
    [ "$(missing_packages earshot)" ] ||
        die "Earshot is installed as a Debian package. Upgrade it (apt install ./earshot_....deb), or remove it first"
    current=$(linked current)
    case $action in
    install)
        [ -z "$current" ] || [ "$current" = "$version" ] ||
            die "Earshot $current is installed, and this is $version. To replace the installed one: sudo $0 --upgrade"
        ;;
    upgrade) [ "$current" ] || die "Earshot is not installed, so it cannot be upgraded. To install it: sudo $0" ;;
    esac
}

# ---- The steps

install_debian_packages() {
    local missing
    missing=$(missing_packages "${packages[@]}")
    [ "$missing" ] || return 0
    # shellcheck disable=SC2086  # a list of names
    step "install from Debian: $missing" install_packages $missing || die "apt-get failed: see above"
}

make_version() {
    local folder=$home/versions/$version
    # After a system upgrade with another Python, the virtual environment does not work any more.
    if [ -e "$folder/complete" ] && "$folder/.venv/bin/earshot" --version >/dev/null 2>&1; then
        say "$version is already in $folder"
        return 0
    fi
    [ "$project" -ef "$folder" ] || step "copy the project to $folder" copy_project "$folder"
    step "create its virtual environment, with the packages of deploy/requirements.txt (takes some minutes)" \
        make_environment "$folder" || die "the environment failed: see above. Check the network, then run this again"
}

copy_project() {
    local folder=$1
    rm -rf "$folder"
    mkdir -p "$folder"
    tar -C "$project" --exclude=__pycache__ -cf - "${parts[@]}" | tar -C "$folder" --no-same-owner -xf -
    chmod -R u=rwX,go=rX "$folder"
}

make_environment() {
    local folder=$1 pip=("$1/.venv/bin/pip" --quiet --disable-pip-version-check --no-cache-dir)
    rm -rf "$folder/.venv" "$folder/tmp" "$folder/complete"
    # pip's temporary files are too large for a /tmp in memory.
    export TMPDIR=$folder/tmp
    mkdir "$TMPDIR"
    # Debian's packages are visible for PyAudio and systemd-python. All others are the tested versions, not Debian's.
    "$python" -m venv --system-site-packages "$folder/.venv" &&
        "${pip[@]}" install --ignore-installed --only-binary :all: --requirement "$folder/deploy/requirements.txt" &&
        "${pip[@]}" install --no-deps "$folder" || return
    rm -rf "$TMPDIR" "$folder/build" "$folder/earshot.egg-info"
    "$folder/.venv/bin/earshot" --version >/dev/null && touch "$folder/complete"
}

make_settings() {
    if [ -e "$settings/config.yaml" ]; then
        say "$settings/config.yaml stays as it is"
    else
        step "write $settings/config.yaml with the default settings" \
            install -D -m 644 "$project/config.yaml" "$settings/config.yaml"
    fi
    # model.bundle is relative to the config's folder, so the link makes the project's config.yaml valid here, too.
    [ "$(readlink "$settings/models")" = "$home/current/models" ] ||
        step "link $settings/models to the current version" ln -sfn "$home/current/models" "$settings/models"
}

# Print the version that a link points to, or nothing.
linked() {
    basename "$(readlink "$home/$1")"
}

link() {
    ln -sfn "versions/$2" "$home/$1.new"
    mv -fT "$home/$1.new" "$home/$1"
}

switch_to() {
    local before
    before=$(linked current)
    [ -z "$before" ] || link previous "$before"
    link current "$1"
}

install_units() {
    step "install the units, the command $command and its completion" copy_units
}

# The units belong to the version, so a rollback restores those of the older one. The user's changes are in drop-ins.
copy_units() {
    mkdir -p "$units" "$(dirname "$command")"
    install -m 644 "$home"/current/deploy/systemd/earshot*.service "$units"
    ln -sfn "$home/current/.venv/bin/earshot" "$command"
    link_completions
    ! systemd_runs || systemctl daemon-reload
}

link_completions() {
    local file
    for file in "${!completions[@]}"; do
        mkdir -p "$(dirname "${completions[$file]}")"
        ln -sfn "$home/current/deploy/completion/$file" "${completions[$file]}"
    done
}

# ---- The service

systemd_runs() { [ -d "$root/run/systemd/system" ]; }

# Print the service and its instances (one for each microphone) that are running or enabled at boot.
services() {
    systemctl is-enabled --quiet earshot.service && echo earshot.service
    systemctl list-units --plain --no-legend --state=active,activating 'earshot@*.service' | cut -d ' ' -f 1
}

start_and_judge() {
    # A service that the user has turned off stays off after an upgrade.
    [ "$action" = upgrade ] || ! command -v systemctl >/dev/null ||
        step "enable the service, so that it starts at boot" systemctl enable --quiet earshot.service
    ! $web || ! command -v systemctl >/dev/null ||
        step "enable the page in the browser" systemctl enable --quiet earshot-web.service
    ! $notify || ! command -v systemctl >/dev/null ||
        step "enable the notifications" systemctl enable --quiet earshot-notify.service
    if ! systemd_runs; then
        say "systemd is not running here, so nothing is started. The service starts at the next boot"
        return 0
    fi
    if [ -z "$(services)" ] && ! $dry_run; then
        say "the service was turned off, and stays off. To turn it on: sudo systemctl enable --now earshot"
        start_companions
        return 0
    fi
    check_installation
    step "start the service, and wait until it is ready" start_services || recover
    step "delete versions older than the previous one" keep_two_versions
    say "done. Events: sudo earshot events. Log: journalctl -u earshot. Settings: $settings/config.yaml"
}

# Print the findings of `earshot check`. Faults do not stop the installation: the daemon waits for missing parts.
check_installation() {
    systemctl is-active --quiet earshot.service ||
        step "check settings, microphone and broker: earshot check" "$home/current/.venv/bin/earshot" check ||
        say "the service starts despite these faults. Correct them, then: sudo systemctl restart earshot"
}

start_services() {
    local service
    for service in $(services); do
        systemctl restart "$service" && keeps_running "$service" || return
    done
    start_companions
    touch "$home/current/ready"
}

# Page and notifications are no part of the judgement, because the daemon runs without them, and they without it.
start_companions() {
    start_companion "$web" earshot-web
    start_companion "$notify" earshot-notify
}

# Start a service that was asked for, or restart it if it runs: start_companion ASKED_FOR NAME
start_companion() {
    if $1; then systemctl restart "$2.service"; else systemctl try-restart "$2.service"; fi ||
        say "$2 does not start. See its log: journalctl -u $2"
}

# Return failure for a service that crashes within five seconds after it was ready.
keeps_running() {
    for _ in 1 2 3 4 5; do
        sleep 1
        [ "$(systemctl is-active "$1")" = active ] || return
    done
}

# Go back to the previous version if this one was never ready on this machine.
recover() {
    local version
    version=$(linked current)
    journalctl --unit='earshot*' --lines=15 --no-pager --output=cat >&2 || true
    if [ -e "$home/current/ready" ] || [ ! -e "$home/previous" ]; then
        die "$version does not become ready: its last log lines are above." \
            "Correct the fault, then: sudo systemctl restart earshot"
    fi
    say "$version does not become ready: its last log lines are above. Going back to $(linked previous)"
    bring_back_previous
    rm -rf "${home:?}/versions/$version"
    printf 'install: %s\n' "$version does not run on this machine; $(linked current) is running again" >&2
    exit 70
}

bring_back_previous() {
    local previous
    previous=$(linked previous)
    link current "$previous"
    rm -f "$home/previous"
    copy_units
    ! systemd_runs || start_services || die "$previous does not become ready either. See the log: journalctl -u earshot"
}

roll_back() {
    local current
    current=$(linked current)
    [ -e "$home/previous" ] || die "there is no version before${current:+ $current} to go back to"
    step "go back from $current to $(linked previous)" bring_back_previous
}

keep_two_versions() {
    local folder
    for folder in "$home"/versions/*; do
        case ${folder##*/} in "$(linked current)" | "$(linked previous)") ;; *) rm -rf "$folder" ;; esac
    done
}

# ---- Removal

uninstall() {
    [ -d "$home" ] || $purge || die "Earshot is not installed in $home"
    ! command -v systemctl >/dev/null || step "stop the service" stop_services
    step "remove $home, the units, the command and its completion" remove_program
    if $purge; then
        step "delete settings, waiting events and clips" remove_data
    else
        say "settings ($settings) and data (/var/lib/earshot) are kept; --uninstall --purge deletes them, too"
    fi
}

stop_services() {
    ! systemd_runs || systemctl stop earshot-web.service earshot-notify.service earshot.service 'earshot@*.service'
    systemctl disable --quiet earshot-web.service earshot-notify.service earshot.service 2>/dev/null || true # absent if it runs a second time
}

remove_program() {
    rm -rf "$home" "$units"/earshot.service "$units"/earshot-web.service "$units"/earshot-notify.service \
        "$units"/earshot@.service "$units"/*.wants/earshot@*.service "$command" "${completions[@]}"
    [ ! -L "$settings/models" ] || rm "$settings/models"
    ! systemd_runs || systemctl daemon-reload
}

remove_data() {
    # systemd keeps the state of a service with DynamicUser below private/.
    rm -rf "$settings" "$root"/var/lib/earshot "$root"/var/lib/earshot-* \
        "$root"/var/lib/private/earshot "$root"/var/lib/private/earshot-*
}

main "$@"
