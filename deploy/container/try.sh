#!/usr/bin/env bash
# Tries an image: deploy/container/try.sh [IMAGE [NEXT_IMAGE]] runs IMAGE (default: earshot) with a real broker and the
# demo's recording, and prints figures and verdicts. NEXT_IMAGE replaces it in the check of an upgrade.
# Needs podman or docker (ENGINE), mosquitto and mosquitto-clients; no test of the suite runs it. RUN_OPTIONS are further
# options of `run`, as in "--cgroups=disabled". Exit codes: 0 all checks passed, 1 one failed.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
image=${1:-earshot} next=${2:-${1:-earshot}} engine=${ENGINE:-podman} port=18831
work=$(mktemp -d)
read -ra more <<<"${RUN_OPTIONS:-}"
confined=(--read-only --cap-drop ALL --security-opt no-new-privileges --network host --hostname trial
    --env EARSHOT_MQTT__HOST=127.0.0.1 --env "EARSHOT_MQTT__PORT=$port" --env EARSHOT_MQTT__USERNAME=earshot
    --env EARSHOT_NODE_ID=trial --volume "$work/mqtt_password:/run/secrets/mqtt_password:ro"
    --volume earshot-trial:/var/lib/earshot --volume "$project/deploy/demo/street.flac:/street.flac:ro"
    --volume "$work/config.yaml:/etc/earshot/config.yaml:ro" "${more[@]}")
input=(run --config /etc/earshot/config.yaml --heartbeat /dev/shm/earshot.heartbeat --input /street.flac)
failed=0

check() { # check TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then echo "ok    $text"; else echo "FAIL  $text"; failed=1; fi
}
clean_up() {
    "$engine" rm -f earshot-trial >/dev/null 2>&1 || true
    "$engine" volume rm -f earshot-trial >/dev/null 2>&1 || true
    stop_broker
    kill "${subscriber:-0}" 2>/dev/null || true
    rm -rf "$work"
}
start_broker() {
    mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
    broker=$!
    until timeout 1 bash -c ": </dev/tcp/127.0.0.1/$port" 2>/dev/null; do sleep 0.1; done
}
stop_broker() { kill "${broker:-0}" 2>/dev/null && wait "$broker" 2>/dev/null || true; }
subscribe() {
    : >"$work/received"
    mosquitto_sub -p "$port" -u earshot -P secret -q 1 -t 'earshot/trial/event/#' -t earshot/trial/event >"$work/received" &
    subscriber=$!
}
count() { grep -c "\"type\": *\"$1\"" "$work/received" || true; }
sequences() { grep -o '"sequence": *[0-9]*' "$work/received" | grep -o '[0-9]*' | sort -nu | tr '\n' ' '; }
wait_for() { # wait_for SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt "$end" ] || return; sleep 0.2; done
}
start() { "$engine" run --detach --name earshot-trial "${confined[@]}" "$@" >/dev/null; }
remove() { "$engine" rm -f earshot-trial >/dev/null; }
exit_code() { "$engine" wait earshot-trial; }
has_started() { [ "$(count start)" -ge "$1" ]; }
inside() { "$engine" exec earshot-trial "$@"; }

trap clean_up EXIT
clean_up 2>/dev/null
mkdir -p "$work"
printf 'listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s/passwords\n' "$port" "$work" >"$work/mosquitto.conf"
echo secret >"$work/mqtt_password"
mosquitto_passwd -b -c "$work/passwords" earshot secret
cp "$project/config.yaml" "$work/config.yaml"
chmod 755 "$work" && chmod 644 "$work"/*
"$engine" volume create earshot-trial >/dev/null

echo "size  $("$engine" image inspect --format '{{.Size}}' "$image" | awk '{ printf "%.0f MB", $1 / 1e6 }')"

echo "-- the demo's events, in a confined container"
start_broker
subscribe
begin=$(date +%s.%N)
start "$image" "${input[@]}" --speed max --exit-at-end
check "exit code 0" [ "$(exit_code)" = 0 ]
echo "took  $(echo "$(date +%s.%N) - $begin" | bc) s"
check "5 events start, 5 end ($(count start), $(count end))" [ "$(count start) $(count end)" = "5 5" ]
remove

echo "-- start, user, health, without a microphone"
begin=$(date +%s.%N)
start "$image"
check "becomes ready" wait_for 120 inside test -e /dev/shm/earshot.heartbeat
echo "ready $(echo "$(date +%s.%N) - $begin" | bc) s after run"
check "runs as user 8470, without capabilities" \
    inside sh -c '[ "$(id -u)" = 8470 ] && grep -q "^CapEff:.0000000000000000$" /proc/self/status && grep -q "^NoNewPrivs:.1$" /proc/self/status'
check "cannot write to its root" inside sh -c '! touch /usr/lib/earshot/x 2>/dev/null && ! touch /etc/earshot/x 2>/dev/null'
check "is healthy" inside sh -c 'test -n "$(find /dev/shm/earshot.heartbeat -newermt "-60 seconds")"'
echo "memory $(inside sh -c 'cat /proc/1/status' | awk '/^VmRSS/ { printf "%.0f MB", $2 / 1000 }')"
"$engine" stop --time 15 earshot-trial >/dev/null
check "SIGTERM: exit code 0" [ "$(exit_code)" = 0 ]
remove

echo "-- SIGTERM during an event"
subscribe
start "$image" "${input[@]}" --speed realtime
check "an event starts" wait_for 60 has_started 1
begin=$(date +%s.%N)
"$engine" stop --time 15 earshot-trial >/dev/null
echo "took  $(echo "$(date +%s.%N) - $begin" | bc) s"
check "exit code 0" [ "$(exit_code)" = 0 ]
sleep 1
check "the event's end arrived as well ($(count start) starts, $(count end) ends)" [ "$(count start)" = "$(count end)" ]
remove

echo "-- SIGTERM while the broker is away, then an upgrade"
stop_broker
begin_messages=$(sequences)
start "$image" "${input[@]}" --speed max --exit-at-end
check "exit code 0" [ "$(exit_code)" = 0 ]
remove
start_broker
subscribe
start "$next"
check "the next image delivers what waits" wait_for 60 has_started 5
wait_for 20 inside true
check "5 events start, 5 end ($(count start), $(count end); sequence $(sequences) after $begin_messages)" \
    [ "$(count start) $(count end)" = "5 5" ]
history=$(inside earshot history --since 100d --json | wc -l)
check "the history has the events of all runs ($history)" [ "$history" -ge 11 ]
check "the mounted config is in use" inside cmp -s /etc/earshot/config.yaml - <"$work/config.yaml"
"$engine" stop --time 15 earshot-trial >/dev/null
exit "$failed"
