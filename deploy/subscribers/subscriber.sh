#!/usr/bin/env bash
# Subscriber in shell, with mosquitto_sub and jq: prints each event of all nodes, and acts on a siren that is live.
#   sudo apt-get install mosquitto-clients jq
#   deploy/subscribers/subscriber.sh -h broker.local
# Arguments are those of mosquitto_sub. Write user, password and TLS into ~/.config/mosquitto_sub instead, because others
# can read a command line. It has one option a line: -u reader, -P PASSWORD, --cafile FILE, -p 8883.
set -euo pipefail

on_siren() { # what to do: node, time, confidence in percent
    echo "siren at $1, $3 %"
}

# `-i` and `-c` name a session, so the broker keeps the messages of a short absence. mosquitto_sub connects again by
# itself, except at its start.
receive() {
    until mosquitto_sub -i earshot-shell -c -q 1 -t 'earshot/+/event' -t 'earshot/+/event/backlog' -F '%p' "$@"; do
        sleep 5
    done
}

declare -A highest=()
seen=
receive "$@" |
    jq --unbuffered -Rr 'fromjson? | objects | select(.id and .sequence) | [.id, .sequence, .node_id, .type, .label, .start_time,
        (.confidence * 100 | round), (if .replayed then "late" else "live" end)] | @tsv' |
    while IFS=$'\t' read -r id sequence node type label start percent delivery; do
        [[ $seen != *" $id"* ]] || continue # a message may be delivered twice; the last thousand ids are kept
        seen=" $id${seen:0:37000}"
        # A live message may pass late ones, so a number that is missing may still arrive.
        if ((sequence > ${highest[$node]:=$sequence} + 1)); then
            echo "gap: $((highest[$node] + 1)) to $((sequence - 1)) did not arrive, or arrive late" >&2
        fi
        ((sequence <= highest[$node])) || highest[$node]=$sequence
        echo "$node  $type  $label  $percent %  $delivery"
        case "$delivery/$type/$label" in
        live/start/siren) on_siren "$node" "$start" "$percent" ;;
        esac
    done
