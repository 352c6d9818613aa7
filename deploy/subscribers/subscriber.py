#!/usr/bin/env python3
"""Subscriber in Python: prints each event of all nodes once, live or late, and each gap in the sequence numbers.

It needs paho-mqtt alone: pip install paho-mqtt. The password is in a file, because others can read a command line.

    python3 subscriber.py --host broker.local --username reader --password-file password --ca-file ca.crt --port 8883
"""

import argparse
import json
import sys
from collections import deque
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

TOPICS = [("earshot/+/event", 1), ("earshot/+/event/backlog", 1)]


def report_gap(highest: dict[str, int], node: str, number: int) -> None:
    """Print the sequence numbers before this one that did not arrive. Late messages may still contain them."""
    before = highest.get(node, number)
    if number > before + 1:
        print(f"gap: {before + 1} to {number - 1} did not arrive, or arrive late", file=sys.stderr, flush=True)
    highest[node] = max(before, number)


def handle(event: dict[str, Any], *, is_late: bool) -> None:
    """Act on an event. A late one is for the log alone: a siren of 3 a.m. must switch no light on at 8 a.m."""
    late = "  late" if is_late else ""
    print(f"{event['node_id']}  {event['type']:<5}  {event['label']}  {event['confidence']:.0%}{late}", flush=True)


def main() -> None:
    """Subscribe until Ctrl-C. paho connects again by itself; the broker keeps the messages meanwhile."""
    parser = argparse.ArgumentParser(description="Print Earshot's events.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--username")
    parser.add_argument("--password-file", type=Path, help="file with the password on its first line")
    parser.add_argument("--ca-file", help="certificate of the broker's authority; turns TLS on")
    parser.add_argument("--client-id", default="earshot-subscriber", help="name of the session at the broker")
    arguments = parser.parse_args()
    highest: dict[str, int] = {}
    seen: deque[str] = deque(maxlen=1000)

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            event = json.loads(message.payload)
            if event["id"] not in seen:  # a message may be delivered twice
                seen.append(event["id"])
                report_gap(highest, event["node_id"], event["sequence"])
                handle(event, is_late=event["replayed"])
        except (ValueError, LookupError, TypeError):  # no event, such as the empty message of `earshot check`
            print(f"ignored: a message on {message.topic}", file=sys.stderr, flush=True)

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, arguments.client_id, clean_session=False)
    client.on_connect = lambda client, *_: client.subscribe(TOPICS)  # also after each new connection
    client.on_message = on_message
    if arguments.username:
        password = arguments.password_file.read_text().splitlines()[0] if arguments.password_file else None
        client.username_pw_set(arguments.username, password)
    if arguments.ca_file:
        client.tls_set(arguments.ca_file)
    client.connect_async(arguments.host, arguments.port)
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main()
