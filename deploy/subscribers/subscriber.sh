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

# jq ignores what is no event, and drops a message that is delivered twice: it keeps the last thousand ids. A gap may be
# filled yet, because a live message may pass late ones. The shell computes nothing with values from the network.
# shellcheck disable=SC2016  # the $ are those of jq
events='
    foreach (inputs | fromjson? | objects | select([.sequence, .confidence | type] == ["number", "number"])) as $event
        ({seen: [], highest: {}};
            .is_new = (.seen | index($event.id) | not)
            | .seen = (.seen + [$event.id])[-1000:]
            | .before = (.highest[$event.node_id] // $event.sequence)
            | .highest[$event.node_id] = ([.before, $event.sequence] | max);
            select(.is_new)
            | [if $event.sequence > .before + 1 then "\(.before + 1) to \($event.sequence - 1)" else "none" end]
            + ($event | [.node_id, .type, .label, .start_time, (.confidence * 100 | round),
                (if .replayed then "late" else "live" end)])
            | @tsv)'

receive "$@" | jq --unbuffered -nRr "$events" |
    while IFS=$'\t' read -r gap node type label start percent delivery; do
        [ "$gap" = none ] || echo "gap: $gap did not arrive, or arrive late" >&2
        echo "$node  $type  $label  $percent %  $delivery"
        case "$delivery/$type/$label" in
        live/start/siren) on_siren "$node" "$start" "$percent" ;;
        esac
    done
