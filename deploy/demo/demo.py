"""`make demo`: a broker, the daemon that hears a recording, and a subscriber that prints what arrives.

Nothing here is special to the demo but the broker: the daemon is the `earshot run` of every day, and the
subscriber is the one of `earshot events`.
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

from amqtt.broker import Broker

from device.config.models import MqttConfig
from device.mqtt.subscriber import Subscriber, format_message

RECORDING = Path(__file__).with_name("street.flac")
HEARD = (
    "a summer night, with a dog at 0:05, a car horn at 0:17, a gun shot at 0:29, a jackhammer at 0:40, a horn at 0:53"
)

NEXT = """
That was the real thing: the network, the broker and the events are what a Pi runs. To go on:
  your microphone   sudo apt-get install portaudio19-dev python3-dev gcc
                    .venv/bin/pip install -e '.[microphone]' && .venv/bin/earshot devices
  your broker       .venv/bin/earshot run --set mqtt.host=YOUR_BROKER
                    .venv/bin/earshot events --set mqtt.host=YOUR_BROKER   (in another terminal)
  a recording       .venv/bin/earshot classify FILE
"""


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def embedded_broker(port: int) -> Iterator[None]:
    """A real MQTT broker (amqtt) on loopback, on a thread of its own."""
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    loop = asyncio.new_event_loop()
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
    """Run the demo; gives the daemon's exit code, or 1 where nothing was heard."""
    parser = argparse.ArgumentParser(description="Play a bundled recording to Earshot and print what it hears.")
    parser.add_argument("--speed", choices=("realtime", "max"), default="max")
    speed = parser.parse_args().speed
    print(f"The microphone hears {RECORDING.name}, a minute of {HEARD}.")
    print("The times below go with the recording.\n" if speed == "realtime" else "It is played faster than it lasts.\n")
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
        heard = 0
        for message in subscriber:
            heard += message["type"] == "start"
            print(format_message(message), flush=True)
    if daemon.returncode == 0 and heard == 0:
        print("Nothing was heard: that should not be. Please report it.", file=sys.stderr)
        return 1
    if daemon.returncode == 0:
        print(f"\n{heard} sounds heard.{NEXT}", end="")
    return daemon.returncode


if __name__ == "__main__":
    sys.exit(main())
