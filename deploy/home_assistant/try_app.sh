#!/usr/bin/env bash
# Tries the image of the Home Assistant app: deploy/home_assistant/try_app.sh [IMAGE] (default: earshot-app, built with
# --target app) runs it as the Supervisor does: as root, with /data, a token, the services API, PulseAudio's socket and
# the ingress's address. All of these are of this script, on loopback; no Home Assistant is needed.
# Needs root, podman or docker (ENGINE), mosquitto, pulseaudio, curl and Python; no test of the suite runs it.
# RUN_OPTIONS are further options of `run`. Exit codes: 0 all checks passed, 1 one failed.
# Functions are called by name, through check and wait_for; some texts are for a shell in the container.
# shellcheck disable=SC2317,SC2016
set -euo pipefail
image=${1:-earshot-app} engine=${ENGINE:-podman} port=18832 ingress=172.30.32.2 address=172.30.33.5
project=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
read -ra more <<<"${RUN_OPTIONS:-}"
failed=0
helpers=()

check() { # check TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then echo "ok    $text"; else echo "FAIL  $text"; failed=1; fi
}
wait_for() { # wait_for SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt "$end" ] || return; sleep 0.3; done
}
clean_up() {
    "$engine" rm -f earshot-app-trial >/dev/null 2>&1 || true
    [ "${#helpers[@]}" = 0 ] || kill "${helpers[@]}" 2>/dev/null || true
    ip address del "$ingress/32" dev lo 2>/dev/null || true
    ip address del "$address/32" dev lo 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
ip address add "$ingress/32" dev lo
ip address add "$address/32" dev lo

printf 'listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s/passwords\n' "$port" "$work" >"$work/mosquitto.conf"
mosquitto_passwd -b -c "$work/passwords" addons secret
chmod 755 "$work" && chmod 644 "$work"/*
mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
helpers+=($!)
cat >"$work/supervisor.py" <<'PYTHON'
import http.server, json, sys
class Supervisor(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/services/mqtt" and self.headers["Authorization"] == "Bearer a-token"
        service = {"host": "127.0.0.1", "port": int(sys.argv[2]), "ssl": False, "protocol": "3.1.1", "addon": "core_mosquitto"}
        service |= {"username": "addons", "password": "secret"}
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"result": "ok", "data": service} if known else {"result": "error"}).encode())
http.server.HTTPServer((sys.argv[1], 80), Supervisor).serve_forever()
PYTHON
python3 "$work/supervisor.py" "$address" "$port" &
helpers+=($!)
# The host's audio: a sound server whose only source is a recording, played to a null sink.
mkdir "$work/audio" && chmod 777 "$work/audio"
HOME=$work pulseaudio --system=false --daemonize=no --exit-idle-time=-1 -n \
    --load="module-native-protocol-unix auth-anonymous=1 auth-cookie-enabled=0 socket=$work/audio/pulse.sock" \
    --load="module-null-sink sink_name=room" --load="module-remap-source master=room.monitor source_name=mic" >"$work/pulse.log" 2>&1 &
helpers+=($!)
wait_for 20 test -S "$work/audio/pulse.sock"
export PULSE_SERVER=unix:$work/audio/pulse.sock
pactl set-default-source mic
printf 'default-server = unix:///run/audio/pulse.sock\nautospawn = no\nenable-shm = false\n' >"$work/client.conf"
printf 'pcm.!default {\n type pulse\n fallback "sysdefault"\n}\nctl.!default {\n type pulse\n}\n' >"$work/asound.conf"

mkdir -m 755 "$work/data"
echo '{"microphone": "auto", "bundle": "urbansound8k-light", "audioset": [], "quiet_hours": [], "clips": true,
  "history_days": 30, "language": "de", "settings": ["node_id=trial"]}' >"$work/data/options.json"
chmod 600 "$work/data/options.json"
"$engine" run --detach --name earshot-app-trial --init --network host --add-host "supervisor:$address" --env SUPERVISOR_TOKEN=a-token \
    --volume "$work/data:/data" --volume "$work/audio:/run/audio" --volume "$work/client.conf:/etc/pulse/client.conf:ro" \
    --volume "$work/asound.conf:/etc/asound.conf:ro" "${more[@]}" "$image" >/dev/null
inside() { "$engine" exec earshot-app-trial "$@"; }
log_has() { "$engine" logs earshot-app-trial 2>&1 | grep -q "$1"; }
page() { # page SOURCE [HOST]: prints the status
    curl --silent --output "$work/page" --write-out '%{http_code}' --interface "$1" --max-time 20 \
        --header "Host: ${2:-home.example:8123}" --header "X-Ingress-Path: /api/hassio_ingress/abc" "http://$address:8099/"
}
processes() { # processes PATTERN: prints the ids of those in the container whose command line matches
    inside sh -c 'for each in /proc/[0-9]*; do tr "\0" " " <$each/cmdline | grep -q "$1" && echo "${each#/proc/}"; done; true' sh "$1"
}
is_confined() { # is_confined PROCESS...
    [ $# -ge 1 ] || return
    local each
    for each; do
        inside grep -c "^Uid:.8470.8470\|^CapEff:.0000000000000000\|^CapBnd:.0000000000000000\|^NoNewPrivs:.1" "/proc/$each/status"
    done | sort -u | grep -qx 4
}
check "becomes ready" wait_for 120 inside test -e /dev/shm/earshot.heartbeat
# shellcheck disable=SC2046
check "the daemon runs as earshot, without capabilities" is_confined $(processes 'earshot ru[n]')
# shellcheck disable=SC2046
check "and so does the page" is_confined $(processes 'earshot we[b]')
check "the options and the password are closed to others" inside sh -c \
    '[ "$(stat -c %a /dev/shm/earshot /dev/shm/earshot/mqtt_password /data/earshot | tr "\n" " ")" = "700 600 700 " ]'
opens() { [ "$(page "$ingress")" = 200 ]; }
check "the page opens for the ingress, under any name" wait_for 60 opens
check "in the language of the options" grep -q 'lang="de"' "$work/page"
check "and is closed to another address" [ "$(page "$address")" = 421 ]
check "also under its address" [ "$(page "$address" "$address:8099")" = 401 ]
mosquitto_sub -p "$port" -u addons -P secret -t 'earshot/trial/event' >"$work/received" &
helpers+=($!)
sleep 3
paplay --device=room "$project/deploy/demo/street.flac" &
helpers+=($!)
has_event() { grep -q '"type": *"end"' "$work/received"; }
check "an event from the host's audio reaches the broker of the Supervisor" wait_for 70 has_event
grep -o '"label": *"[a-z_]*"' "$work/received" | sort | uniq -c || true
# shellcheck disable=SC2046
inside sh -c 'kill "$@"' sh $(processes 'earshot we[b]')
check "a killed page is noticed" wait_for 10 log_has "the page ended and starts again"
check "and starts again" wait_for 60 opens
"$engine" stop --time 20 earshot-app-trial >/dev/null
check "SIGTERM: exit code 0" [ "$("$engine" wait earshot-app-trial)" = 0 ]
check "the state is in /data" test -s "$work/data/earshot/history.db"
[ "$failed" = 0 ] || "$engine" logs earshot-app-trial 2>&1 | tail -30
exit "$failed"
