#!/usr/bin/env bash
# Test of the services under a real systemd. Boots a Debian with Earshot installed and systemd as process 1. The daemon
# must become ready, publish events, survive kill -9, be restarted when any part hangs, reload, stop, and be confined.
# The page and the notifications must start, be confined, show an event, survive a restart of the broker, and stop.
#   sudo tests/deploy/boot.sh [SUITE [FOLDER]]
# SUITE is bookworm (default) or trixie, of this machine's architecture. FOLDER (default: /var/tmp/earshot-boot) keeps
# the Debian (600 MB) for the next run. Needs root, debootstrap and systemd-container. Takes five minutes or more, and
# prints the time of each check. Exit codes: 0 all checks passed, 1 a check failed, 69 this machine cannot run it.
set -euo pipefail
# shellcheck source=tests/deploy/roots.sh
. "$(dirname "$0")/roots.sh"
# shellcheck source=tests/deploy/nspawn.sh
. "$(dirname "$0")/nspawn.sh"
# shellcheck source=tests/deploy/companions.sh
. "$(dirname "$0")/companions.sh"
suite=${1:-bookworm}
folder=${2:-/var/tmp/earshot-boot}
base=$folder/$suite
root=$base-earshot
config=$root/etc/earshot/config.yaml
drop_in=$root/etc/systemd/system/earshot.service.d
packages=systemd,systemd-sysv,dbus,procps,iproute2,ca-certificates,python3-venv,python3-pyaudio,python3-systemd
packages+=,mosquitto,mosquitto-clients,pulseaudio,pulseaudio-utils,libasound2-plugins

main() {
    [ "$(id -u)" -eq 0 ] || { echo "boot.sh: booting needs root. Run: sudo $0 $*" >&2; exit 69; }
    mkdir -p "$folder"
    trap 'halt_root; leave_root "$root"' EXIT
    make_root "$base" "$suite" "$(dpkg --print-architecture)" "$packages"
    copy_root "$base" "$root"
    give_project "$root" /root/earshot
    in_root "$root" /root/earshot/deploy/install.sh
    leave_root "$root"
    furnish
    furnish_companions

    check "boot without a microphone, until the service is ready" boots
    check "no privilege and no port, and write access only to the state directory" confined
    check "page and notifications start, and are connected to the broker" companions_start
    check "page and notifications have no privilege, the page a port of this machine alone" companions_are_confined
    check "the page refuses a foreign host, a foreign origin, and a change without the token" page_refuses
    check "a microphone that appears is opened" microphone_appears
    check "an event is in the journal with its fields, at the broker, and in the history" publishes_an_event
    check "the event is on the page and a notification" event_is_shown
    check "page and notifications survive a restart of the broker" companions_survive_the_broker
    check "kill -9 of page and notifications: restarted" companions_are_restarted
    check "stop of page and notifications" companions_stop
    check "kill -9: restarted" replaced_after KILL
    check "reload: new settings, same process" reloads
    check "reload with faults: the old settings stay in use" reload_is_refused
    for part in gate network outbox; do check "the watchdog restarts the daemon: $part hangs" hangs "$part"; done
    check "the watchdog restarts the daemon: frozen (SIGSTOP)" replaced_after STOP
    check "stop during an event, in less than 5 s" stops
    check "a config with a fault: exit 78, no restart" refuses_the_config
    say "all good, on $suite:"
    printf '%s' "$table"
}

# ---- The machine

# Add a broker with a password, a sound server with a null sink in place of the microphone, and a short watchdog time.
furnish() {
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    : >"$root/etc/machine-id"
    printf 'listener 1883 127.0.0.1\npassword_file /etc/mosquitto/passwd\n' >"$root/etc/mosquitto/conf.d/earshot.conf"
    in_root "$root" sh -c 'mosquitto_passwd -b -c /etc/mosquitto/passwd earshot secret && chown mosquitto /etc/mosquitto/passwd'
    leave_root "$root"
    install -d -m 700 "$root/etc/credstore"
    (umask 077 && echo secret >"$root/etc/credstore/earshot.mqtt_password")
    configure mailbox
    cat >"$root/etc/systemd/system/sound.service" <<-'END'
		[Service]
		RuntimeDirectory=sound
		Environment=HOME=/run/sound
		ExecStart=/usr/bin/pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --disable-shm=yes \
		    -L "module-native-protocol-unix socket=/run/sound/native auth-anonymous=1" \
		    -L "module-null-sink sink_name=microphone"
	END
    mkdir -p "$drop_in"
    cat >"$drop_in/test.conf" <<-'END'
		[Service]
		Environment=PULSE_SERVER=unix:/run/sound/native HOME=/tmp
		WatchdogSec=12
		RestartSec=1
	END
    install -m 644 "$repository/tests/deploy/hang.py" "$root/opt/hang.py"
}

configure() { # configure NODE [LINE]
    printf 'node_id: %s\naudio: {device: pulse}\nmqtt: {username: earshot}\nnotify: {rules: [{cooldown_seconds: 0}]}\n%s\n' \
        "$1" "${2:-}" >"$config"
}

# Of the daemon, or another unit: property NAME [UNIT]. It fails while the machine boots.
property() { in_machine systemctl show --property="$1" --value "${2:-earshot}" 2>/dev/null; }
status() { property StatusText; }
pid() { property MainPID "$@"; }
journal() { in_machine journalctl --unit=earshot --boot --output=cat --no-pager; }
is_running() { [ "$(property ActiveState "$@")" = active ]; }

# ---- The checks. Each adds a line to the table, with its duration in seconds.

table=
check() { # check TEXT COMMAND...; the command may set `found`, which is printed after the text
    local text=$1 began=$EPOCHREALTIME line
    shift
    found=
    "$@" || give_up "$text"
    line=$(printf '%6.1f s  %s%s' "$(since "$began")" "$text" "${found:+ ($found)}")
    say "$line"
    table+=$line$'\n'
}

since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { print now - then }'; }

give_up() {
    in_machine systemctl status --no-pager --lines=0 'earshot*' >&2 || true
    in_machine journalctl --unit='earshot*' --boot --no-pager --lines=40 >&2 || true
    fail "$1"
}

status_says() { [[ $(status) == *"$1"* ]]; }
is_another_than() { # is_another_than PID [UNIT]
    local now
    now=$(pid "${2:-earshot}") # 0 while none runs
    [ "$now" != 0 ] && [ "$now" != "$1" ] && is_running "${2:-earshot}"
}

boots() {
    boot_root "$root" --private-network && until_true 120 is_running && until_true 60 status_says "no microphone" && until_true 60 status_says "connected"
}

confined() {
    local process
    process=$(pid)
    has_no_privilege "$process" || return
    ! in_machine ss --no-header --listening --processes --tcp --udp | grep -q "pid=$process," || return
    # As the user of the service and in its mount namespace: only the state directory is writable.
    in_machine sh -c "nsenter -t $process --mount --setuid=\$(stat -c %u /proc/$process) -- touch /var/lib/earshot/x" || return
    writes_nowhere "$process" /etc /usr /opt /var /root && found=$(exposure earshot)
}

has_no_privilege() { # has_no_privilege PID
    local facts
    facts=$(in_machine cat "/proc/$1/status")
    grep -q '^CapEff:.0000000000000000$' <<<"$facts" && grep -q '^NoNewPrivs:.1$' <<<"$facts" &&
        grep -q '^Seccomp:.2$' <<<"$facts" && grep -q '^Uid:.6[0-9]*' <<<"$facts"
}

# Folders are read-only in the namespace of a process, even for root, and /root is hidden: writes_nowhere PID FOLDER...
writes_nowhere() {
    local process=$1 place
    shift
    for place in "$@"; do ! in_machine nsenter -t "$process" --mount touch "$place/x" 2>/dev/null || return; done
    ! in_machine nsenter -t "$process" --mount ls /root/earshot 2>/dev/null
}

exposure() { # exposure UNIT; fails above 1.5
    in_machine systemd-analyze security --no-pager --threshold=15 "$1" | sed -n 's/.*: \([0-9.]* [A-Z]*\).*/exposure \1/p'
}

microphone_appears() { in_machine systemctl start sound && until_true 90 status_says "listens to"; }

is_in_the_history() { in_machine sh -c '/usr/local/bin/earshot history --json | grep -q "\"type\": \"end\""'; }

publishes_an_event() {
    local process
    process=$(pid)
    in_machine sh -c 'mosquitto_sub -u earshot -P secret -t earshot/mailbox/event -C 1 >/run/event' &
    play && until_true 90 is_in_the_journal && until_true 30 in_machine test -s /run/event &&
        until_true 60 is_in_the_history
    wait $! && in_machine systemctl stop play || return
    found=$(in_machine sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$process/status")
    found="$((found / 1024)) MB at most"
}

play() {
    in_machine systemd-run --quiet --unit=play --setenv=PULSE_SERVER=unix:/run/sound/native --setenv=HOME=/run/sound \
        paplay --device=microphone /root/earshot/deploy/demo/street.flac
}

is_in_the_journal() {
    in_machine journalctl --unit=earshot --boot --output=json EARSHOT_TYPE=start | grep -q '"EARSHOT_LABEL":"'
}

# Send a signal to the daemon, and wait until another one runs: replaced_after SIGNAL
replaced_after() {
    local before
    before=$(pid)
    in_machine kill "-$1" "$before" && until_true 120 is_another_than "$before"
}

reloads() {
    local before
    before=$(pid)
    configure doorbell
    in_machine systemctl reload earshot && until_true 60 journal_says "doorbell listens to" && until_true 60 is_running &&
        until_true 60 status_says "listens to" && [ "$(pid)" = "$before" ] && until_true 90 loss_is_published
}

loss_is_published() {
    found=$(in_machine mosquitto_sub -u earshot -P secret -t earshot/doorbell/health -C 1 -W 5 |
        sed -n 's/.*"lost_audio_ms": *\([1-9][0-9]*\).*/\1 ms of audio lost/p') && [ "$found" ]
}

reload_is_refused() {
    local before
    before=$(pid)
    configure doorbell $'gate: {vad_mod: 3}\nwindow: {hop_seconds: never}'
    in_machine systemctl reload earshot && until_true 60 status_says "NOT RELOADED" && until_true 60 is_running &&
        status_says vad_mod && status_says hop_seconds && journal_says hop_seconds && [ "$(pid)" = "$before" ]
    configure doorbell
}

journal_says() { journal | grep -q "$1"; }

# Run a daemon of which one part hangs on a signal. The journal must show where it hung.
hangs() { # hangs PART
    local before
    run_instead "/opt/earshot/current/.venv/bin/python3 /opt/hang.py $1 run --config /etc/earshot/config.yaml"
    until_true 60 status_says "listens to" && play || return
    before=$(pid)
    in_machine kill -USR1 "$before" && until_true 120 is_another_than "$before" || return
    in_machine systemctl stop play
    journal | grep -q "in wait_for_ever" && journal_says "no progress"
    run_instead ""
}

run_instead() { # run_instead COMMAND; an empty COMMAND restores the unit's own
    rm -f "$drop_in/hang.conf"
    [ -z "$1" ] || printf '[Service]\nExecStart=\nExecStart=%s\n' "$1" >"$drop_in/hang.conf"
    in_machine journalctl --rotate --quiet && in_machine journalctl --vacuum-time=1s --quiet
    in_machine systemctl daemon-reload && in_machine systemctl restart earshot
}

stops() {
    local began
    until_true 60 status_says "listens to" && play && until_true 90 is_in_the_journal || return
    began=$EPOCHREALTIME
    in_machine systemctl stop earshot
    found="in $(since "$began") s"
    [ "$(property Result)" = success ] && awk -v took="$(since "$began")" 'BEGIN { exit took >= 5 }'
}

refuses_the_config() {
    configure doorbell "devise: 1" # a key that does not exist
    local unit
    ! in_machine systemctl start earshot 2>/dev/null || return
    for unit in "${companions[@]}"; do # their type is not notify, so they start
        in_machine systemctl start "$unit"
        until_true 30 has_failed "$unit" || return
    done
    sleep 3 # longer than RestartSec=1
    for unit in earshot "${companions[@]}"; do
        has_failed "$unit" && [ "$(property ExecMainStatus "$unit")" = 78 ] || return
    done
    journal_says "devise"
}

has_failed() { [ "$(property ActiveState "$1")" = failed ]; }

main "$@"
