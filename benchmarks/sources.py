"""Sources benchmark: memory, CPU time and lost sound of several instances on one machine, each with its own source.

    python benchmarks/sources.py [--bundle DIR]... [--instances 1 4 16] [--seconds 90] [--cores 0,1]

Each instance is `earshot run --input -` with a config file, a node id and a state directory of its own, as the template
unit earshot@.service starts it. A player writes a WAV to all of them in real time, each from another place on. Live
standard input never waits, so sound that an instance is too slow for is lost and counted, as with a microphone. Memory
is the proportional set size (PSS): memory that several processes share is divided among them. "Own"
is what an instance shares with no other process, and what its end would free.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from checkout import ROOT
from figures import Figure, make_parser, note, publish
from paho.mqtt.enums import CallbackAPIVersion
from processes import cpu_seconds, shared_memory_mb
from support import Mosquitto, wait_until

from device.audio.files import read_samples

RATE = 16000
SETTLING_SECONDS = 20.0
"""Time that is not measured, s: start, self-test, discovery, the first windows."""
STEP_SECONDS = 0.1
"""Sound that the player writes at once, s."""


@dataclass
class Subscriber:
    """Subscriber to all nodes: the latest health message and the number of event messages of each.

    Attributes:
        online: node ids that are online.
        health: latest health message by node id.
        events: number of event messages by node id.
    """

    port: int
    health: dict[str, dict[str, object]] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    online: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", self.port)
        self.client.subscribe([(f"earshot/+/{kind}", 1) for kind in ("status", "health", "event")])
        self.client.loop_start()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        _, node, kind = message.topic.split("/")
        if kind == "status":
            self.online.add(node)
        elif kind == "event":
            self.events[node] = self.events.get(node, 0) + 1
        else:
            self.health[node] = json.loads(message.payload)


@contextmanager
def instance(number: int, folder: Path, options: argparse.Namespace, bundle: Path, port: int) -> Iterator[object]:
    """Run one instance, with the settings of the template unit; yield its process."""
    name = f"source-{number:02}"
    config = folder / f"{name}.yaml"
    config.write_text(f"model:\n  bundle: {bundle}\nmqtt:\n  port: {port}\n")
    environment = {**os.environ, "STATE_DIRECTORY": str(folder / name), "EARSHOT_NODE_ID": name}
    environment["PYTHONPATH"] = str(ROOT)
    command = ["taskset", "-c", options.cores, sys.executable, "-m", "device", "run", "--quiet"]
    command += ["--config", str(config), "--input", "-", "--input-rate", str(RATE)]
    with (folder / f"{name}.log").open("w") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, stdout=log, env=environment, cwd=folder)
    try:
        yield daemon
    finally:
        assert daemon.stdin is not None
        daemon.terminate()
        daemon.stdin.close()
        daemon.wait(timeout=60)


def play(recording: bytes, pipes: list[int], seconds: float) -> Iterator[float]:
    """Write the recording to all pipes in real time, each from another place on; yield the seconds played."""
    step = round(STEP_SECONDS * RATE) * 2
    starts = [len(recording) // 2 * number // len(pipes) * 2 for number in range(len(pipes))]
    twice = recording * 2
    begun = time.monotonic()
    for count in itertools.count(1):
        for pipe, start in zip(pipes, starts, strict=True):
            place = (start + count * step) % len(recording)
            os.write(pipe, twice[place : place + step])
        played = count * STEP_SECONDS
        yield played
        if played >= seconds:
            return
        time.sleep(max(0.0, begun + played - time.monotonic()))


def measure(bundle: Path, count: int, recording: bytes, options: argparse.Namespace) -> Iterator[Figure]:
    """Run instances, and yield what they cost and lost."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Mosquitto(folder)
        broker.start()
        stack.callback(broker.close)
        subscriber = Subscriber(broker.port)
        stack.callback(subscriber.client.loop_stop)
        daemons = [
            stack.enter_context(instance(number, folder, options, bundle, broker.port)) for number in range(count)
        ]
        processes = [daemon.pid for daemon in daemons]
        wait_until(lambda: len(subscriber.online) == count, 300, "the start of all instances")
        total = SETTLING_SECONDS + options.seconds
        before: list[float] = []
        for played in play(recording, [daemon.stdin.fileno() for daemon in daemons], total):
            if not before and played >= SETTLING_SECONDS:
                before, begun = [cpu_seconds(process) for process in processes], time.monotonic()
        elapsed = time.monotonic() - begun
        used = [cpu_seconds(process) - earlier for process, earlier in zip(processes, before, strict=True)]
        memory = [shared_memory_mb(process) for process in processes]
    health = subscriber.health.values()
    lost = [each["lost_audio_ms"] for each in health]
    stretch = max((each["stretch"]["factor"] for each in health), default=None)
    messages = sum(subscriber.events.values())
    note(f"health of {len(health)}, {messages} event messages, largest stretch {stretch}, lost sound {sorted(lost)} ms")
    what = f"{count} instances of {bundle.name}"
    pss, own = zip(*memory, strict=True)
    yield Figure(f"memory of each of {what}, PSS", sum(pss) / count, "MB")
    yield Figure(f"memory of each of {what}, own", sum(own) / count, "MB")
    yield Figure(f"CPU time of each of {what}", sum(used) / elapsed / count * 1e3, "ms/s of CPU")
    yield Figure(f"lost sound of all {what}, of {total:.0f} s each", sum(lost) / 1e3, "s", goal=0.0)
    if len(health) < count:
        raise SystemExit(f"only {len(health)} of {count} instances have published their health: set more --seconds")


def main() -> None:
    """Measure, and print the figures of each bundle and number of instances."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="default: the light and the full one")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=90, help="measured time, s; health is published each minute")
    parser.add_argument("--cores", default="0,1", help="cores for all instances (default: 0,1)")
    parser.add_argument("--recording", type=Path, default=ROOT / "deploy" / "demo" / "street.flac")
    options = parser.parse_args()
    recording = read_samples(options.recording, RATE).tobytes()
    for bundle in options.bundle or [ROOT / "models" / "urbansound8k-light", ROOT / "models" / "urbansound8k"]:
        for count in options.instances:
            publish(measure(bundle.resolve(), count, recording, options), as_json=options.json)


if __name__ == "__main__":
    main()
