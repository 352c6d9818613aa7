#!/usr/bin/env bash
# Tries an image: deploy/container/try.sh [IMAGE [NEXT_IMAGE]] runs IMAGE (default: earshot) with a real broker and the
# demo's recording, and prints figures and verdicts. NEXT_IMAGE replaces it in the check of an upgrade.
# Needs podman or docker (ENGINE), mosquitto and mosquitto-clients; no test of the suite runs it. RUN_OPTIONS are further
# options of `run`, as in "--cgroups=disabled". Exit codes: 0 all checks passed, 1 one failed.
# Functions are called by name, through check and wait_for; some texts are for a shell in the container.
# shellcheck disable=SC2317,SC2016
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
remove_all() {
    "$engine" rm -f earshot-trial >/dev/null 2>&1 || true
    "$engine" volume rm -f earshot-trial >/dev/null 2>&1 || true
}
stop_subscriber() { [ -z "${subscriber:-}" ] || { kill "$subscriber" && wait "$subscriber"; } 2>/dev/null || true; }
clean_up() {
    remove_all
    stop_broker
    stop_subscriber
    rm -rf "$work"
}
start_broker() {
    mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
    broker=$!
    until timeout 1 bash -c ": </dev/tcp/127.0.0.1/$port" 2>/dev/null; do sleep 0.1; done
}
stop_broker() {
    [ -n "${broker:-}" ] || return 0
    if kill "$broker" 2>/dev/null; then wait "$broker" 2>/dev/null || true; fi
    broker=
}
subscribe() {
    stop_subscriber
    mosquitto_sub -p "$port" -u earshot -P secret -q 1 -t 'earshot/trial/event/#' >"$work/received" &
    subscriber=$!
}
count() { grep -c "\"type\": *\"$1\"" "$work/received" || true; }
sequences() { grep -o '"sequence": *[0-9]*' "$work/received" | grep -o '[0-9]*' | sort -nu | tr '\n' ' '; }
wait_for() { # wait_for SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do [ "$SECONDS" -lt "$end" ] || return; sleep 0.2; done
}
start() { "$engine" run --detach --name earshot-trial "${confined[@]}" "$@" >/dev/null; }
remove() { "$engine" rm -f earshot-trial >/dev/null; }
exit_code() { "$engine" wait earshot-trial; }
has_started() { [ "$(count start)" -ge "$1" ]; }
inside() { "$engine" exec earshot-trial "$@"; }
events_in_history() {
    "$engine" run --rm "${confined[@]}" "$image" history --since 100d --json 2>/dev/null | wc -l
}
has_history() { [ "$(inside earshot history --since 100d --json 2>/dev/null | wc -l)" -ge "$1" ]; }
is_healthy() { inside sh -c "$health"; }
is_ill() { ! is_healthy; }

trap clean_up EXIT
remove_all
printf 'listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s/passwords\n' "$port" "$work" >"$work/mosquitto.conf"
echo secret >"$work/mqtt_password"
mosquitto_passwd -b -c "$work/passwords" earshot secret
{ cat "$project/config.yaml" && echo "# a line of the user's"; } >"$work/config.yaml"
chmod 755 "$work" && chmod 644 "$work"/*
"$engine" volume create earshot-trial >/dev/null

health=$("$engine" image inspect --format '{{index .HealthCheck.Test 1}}' "$image" 2>/dev/null ||
    "$engine" image inspect --format '{{index .Config.Healthcheck.Test 1}}' "$image")
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
start "$image"
check "becomes ready" wait_for 120 inside test -e /dev/shm/earshot.heartbeat
started=$("$engine" inspect --format '{{.State.StartedAt}}' earshot-trial | cut -d' ' -f1,2)
echo "ready $(echo "$(inside stat -c %.W /dev/shm/earshot.heartbeat) - $(date -d "$started" +%s.%N)" | bc) s after its start"
check "runs as user 8470, without capabilities" \
    inside sh -c '[ "$(id -u)" = 8470 ] && grep -q "^CapEff:.0000000000000000$" /proc/self/status && grep -q "^NoNewPrivs:.1$" /proc/self/status'
check "cannot write to its root" inside sh -c '! touch /usr/lib/earshot/x 2>/dev/null && ! touch /etc/earshot/x 2>/dev/null'
check "is healthy" is_healthy
echo "memory $(inside sh -c 'cat /proc/1/status' | awk '/^VmRSS/ { printf "%.0f MB", $2 / 1000 }')"
"$engine" stop --time 15 earshot-trial >/dev/null
check "SIGTERM: exit code 0" [ "$(exit_code)" = 0 ]
remove

echo "-- a hang"
start "$image"
check "becomes ready" wait_for 120 inside test -e /dev/shm/earshot.heartbeat
kill -STOP "$("$engine" inspect --format '{{.State.Pid}}' earshot-trial)"
check "is not healthy after a minute" wait_for 90 is_ill
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
before=$(events_in_history)
start "$image" "${input[@]}" --speed max
check "5 events become history" wait_for 90 has_history $((before + 5))
"$engine" stop --time 15 earshot-trial >/dev/null
check "exit code 0" [ "$(exit_code)" = 0 ]
remove
start_broker
subscribe
start "$next"
check "the next image delivers what waits" wait_for 60 has_started 5
sleep 2
check "5 events start, 5 end ($(count start), $(count end); sequence $(sequences) after $begin_messages)" \
    [ "$(count start) $(count end)" = "5 5" ]
check "the history has the events of all runs" has_history $((before + 5))
inside cat /etc/earshot/config.yaml >"$work/config-inside.yaml"
check "the config with a line of the user's is in place" cmp -s "$work/config-inside.yaml" "$work/config.yaml"
"$engine" stop --time 15 earshot-trial >/dev/null
exit "$failed"
