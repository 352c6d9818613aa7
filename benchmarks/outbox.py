"""Outbox benchmark: start-up time, memory and delivery rate of the daemon with a hundred thousand messages.

    python benchmarks/outbox.py [--messages 100000] [--rounds 3]

Needs mosquitto. The outbox is filled first; then the real daemon runs with the real network, silence as input, and a
mosquitto on this machine. The peer is the same daemon with an empty outbox, in turn.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import soundfile
from figures import Figure, make_parser, publish
from paho.mqtt.enums import CallbackAPIVersion
from processes import peak_mb, running_daemon
from support import Mosquitto, wait_until

from device.config.models import OutboxConfig
from device.mqtt.messages import event_message
from device.outbox.entry import Entry
from device.outbox.sqlite_table import SqliteTable
from device.types import Event
from device.util.clock import CLOCK

LABELS = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "siren", "street_music")


def fill(path: Path, count: int) -> None:
    """Fill an outbox with event messages, in one transaction."""
    start = CLOCK.now()
    scores = dict.fromkeys(LABELS, 0.1234)
    file = SqliteTable(path)
    entries = []
    for sequence in range(1, count + 1):
        event = Event("start", "0" * 36, "siren", 0.9, scores, start, None, -20.0, "level")
        message = event_message(event, node_id="bench", bundle="urbansound8k@1.0.0", clock=CLOCK)
        entries.append(Entry(sequence, message | {"sequence": sequence}, CLOCK.stamp()))
    file.append(entries, count)
    file.close()


@dataclass(frozen=True)
class Measured:
    """Measurements of one daemon.

    Attributes:
        ready_seconds: time from its start to READY=1, s.
        memory_mb: highest resident memory, MB.
        message_ms: time of delivery of each message, ms; 0 without messages.
    """

    ready_seconds: float
    memory_mb: float
    message_ms: float


class Counter:
    """Subscriber that counts events."""

    def __init__(self, broker: Mosquitto) -> None:
        self.received = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("earshot/+/event/#", 0)
        self._client.on_message = self._count
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _count(self, *_: object) -> None:
        self.received += 1


def measure(folder: Path, waiting: int, broker: Mosquitto) -> Measured:
    """Run the daemon on an outbox until all is delivered.

    Args:
        folder: state directory, which is made.
        waiting: number of messages in the outbox at the start.
        broker: running broker.
    """
    folder.mkdir()
    if waiting:
        fill(folder / "outbox.sqlite", waiting)
    silence = folder / "silence.wav"
    soundfile.write(silence, np.zeros(16000, np.int16), 16000)
    arguments = ["--input", str(silence)]
    for setting in (f"mqtt.port={broker.port}", "mqtt.host=127.0.0.1", "node_id=bench"):
        arguments += ["--set", setting]
    counter = Counter(broker)
    with running_daemon(arguments, state=folder) as daemon:
        wait_until(lambda: counter.received or not waiting, 60, "the first message")
        first, begun = counter.received, time.monotonic()
        wait_until(lambda: counter.received >= waiting, 600, "the last message")
        seconds = time.monotonic() - begun
        memory = peak_mb(daemon.pid)
    return Measured(daemon.ready_seconds, memory, seconds / max(1, waiting - first) * 1e3)


def figures(count: int, rounds: int) -> Iterator[Figure]:
    """Yield the figures of a full outbox, each beside that of an empty one."""
    with tempfile.TemporaryDirectory() as name:
        broker = Mosquitto(Path(name), "allow_anonymous true\nmax_queued_messages 0")
        broker.start()
        try:
            pairs = [
                [measure(Path(name) / f"{number}-{waiting}", waiting, broker) for waiting in (0, count)]
                for number in range(rounds)
            ]
        finally:
            broker.close()

    def medians(field: str) -> list[float]:
        return [statistics.median(getattr(each, field) for each in side) for side in zip(*pairs, strict=True)]

    outbox, peer = f"{count} waiting messages", "an empty outbox"
    for title, field, unit in (("start until READY", "ready_seconds", "s"), ("peak memory", "memory_mb", "MB")):
        empty, full = medians(field)
        yield Figure(f"{title}, {outbox}", full, unit, empty, peer)
    yield Figure(f"delivery of a message, {outbox}", medians("message_ms")[1], "ms")


def main() -> None:
    """Measure with an empty outbox and with a full one."""
    parser = make_parser(__doc__)
    parser.add_argument("--messages", type=int, default=OutboxConfig().messages)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    publish(figures(options.messages, options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
