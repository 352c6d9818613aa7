"""Demo (`make demo`): a broker, the daemon with a recording as input, and a subscriber that prints the events.

Only the broker is special to the demo: the daemon is the ordinary `earshot run`, and the subscriber is that of
`earshot events`.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amqtt.broker import Broker

from device.config.models import MqttConfig
from device.mqtt.subscriber import Subscriber, format_message

RECORDING = Path(__file__).with_name("street.flac")
CONTENT = (
    "a summer night, with a dog at 0:05, a car horn at 0:17, a gun shot at 0:29, a jackhammer at 0:40, a horn at 0:53"
)

NEXT = """
The network, the daemon and the events are the same as on a Pi. Next steps:
  your microphone   sudo apt-get install portaudio19-dev python3-dev gcc
                    .venv/bin/pip install -e '.[microphone]' && .venv/bin/earshot devices
  your broker       .venv/bin/earshot run --set mqtt.host=YOUR_BROKER
                    .venv/bin/earshot events --set mqtt.host=YOUR_BROKER   (in another terminal)
  a recording       .venv/bin/earshot classify FILE
"""


def free_port() -> int:
    """Return a TCP port on loopback that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ignore_lost_connection(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception, except for the one of amqtt when a client of MQTT 5 leaves before it is refused."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


@contextlib.contextmanager
def embedded_broker(port: int) -> Iterator[None]:
    """Run an MQTT broker (amqtt) on loopback, on a thread of its own."""
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(ignore_lost_connection)
    thread = threading.Thread(target=loop.run_forever, name="broker", daemon=True)
    thread.start()

    async def start() -> Broker:
        broker = Broker(config)
        await broker.start()
        return broker

    broker = asyncio.run_coroutine_threadsafe(start(), loop).result(timeout=20)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(timeout=20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)


def main() -> int:
    """Run the demo; return the daemon's exit code, or 1 if there was no event."""
    parser = argparse.ArgumentParser(description="Run Earshot on a bundled recording and print the events.")
    parser.add_argument("--speed", choices=("realtime", "max"), default="max")
    speed = parser.parse_args().speed
    print(f"In place of a microphone: {RECORDING.name}, one minute of {CONTENT}.")
    print("It is played in real time.\n" if speed == "realtime" else "It is played faster than real time.\n")
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as state,
        embedded_broker(port),
        Subscriber(MqttConfig(host="127.0.0.1", port=port), None) as subscriber,
    ):
        command = [sys.executable, "-m", "device", "run", "--quiet", "--input", str(RECORDING), "--speed", speed]
        command += ["--exit-at-end", "--set", "mqtt.host=127.0.0.1", "--set", f"mqtt.port={port}"]
        command += ["--set", "node_id=demo"]
        daemon = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": state})
        threading.Thread(target=lambda: (daemon.wait(), subscriber.close()), daemon=True).start()
        starts = 0
        for message in subscriber:
            starts += message["type"] == "start"
            print(format_message(message), flush=True)
    if daemon.returncode == 0 and starts == 0:
        print("No event was detected, which is a bug. Please report it.", file=sys.stderr)
        return 1
    if daemon.returncode == 0:
        print(f"\n{starts} sounds recognised.{NEXT}", end="")
    return daemon.returncode


if __name__ == "__main__":
    sys.exit(main())
