"""Outbox benchmark: start-up time, memory and delivery rate of the daemon with a hundred thousand messages.

    python benchmarks/outbox.py [--messages 100000]

Needs mosquitto. The outbox is filled first; then the real daemon runs with the real network, silence as input, and a
mosquitto on this machine. Each measurement is one line of JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import soundfile
from paho.mqtt.enums import CallbackAPIVersion

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import Mosquitto  # noqa: E402 - the tests' broker

from device.config.models import OutboxConfig  # noqa: E402
from device.mqtt.messages import event_message  # noqa: E402
from device.outbox.entry import Entry  # noqa: E402
from device.outbox.sqlite_table import SqliteTable  # noqa: E402
from device.types import Event  # noqa: E402
from device.util.clock import CLOCK  # noqa: E402
from device.util.units import MEGABYTE  # noqa: E402

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


def memory_mb(pid: int) -> float:
    """Return the highest resident memory of a process so far, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MEGABYTE


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


def measure(folder: Path, waiting: int, broker: Mosquitto) -> dict[str, object]:
    """Run the daemon on an outbox, and return start-up time, memory and delivery rate.

    The start-up time is from the start of the process to the log line "listens to".

    Args:
        folder: folder for the state directory.
        waiting: number of messages in the outbox at the start.
        broker: running broker.
    """
    state = folder / f"state-{waiting}"
    state.mkdir()
    if waiting:
        fill(state / "outbox.sqlite", waiting)
    silence = folder / "silence.wav"
    soundfile.write(silence, np.zeros(16000, np.int16), 16000)
    settings = [f"mqtt.port={broker.port}", "mqtt.host=127.0.0.1", "node_id=bench"]
    command = [sys.executable, "-m", "device", "run", "--input", silence]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = {**os.environ, "STATE_DIRECTORY": str(state), "PYTHONPATH": str(ROOT)}
    counter = Counter(broker)
    started = time.monotonic()
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        listens = connected = 0.0
        while not (listens and connected):
            line = daemon.stderr.readline()
            assert line, "the daemon ended"
            listens = listens or ("listens to" in line and time.monotonic() - started)
            connected = connected or ("connected to" in line and time.monotonic() - started)
        while counter.received < waiting:
            time.sleep(0.01)
        delivery_seconds = time.monotonic() - started - connected
        memory = memory_mb(daemon.pid)
        daemon.terminate()
    return {
        "waiting": waiting,
        "listens_after_seconds": round(listens, 2),
        "memory_mb": round(memory),
        "messages_per_second": round(waiting / delivery_seconds) if waiting else None,
    }


def main() -> None:
    """Measure with an empty outbox and with a full one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=OutboxConfig().messages)
    count = parser.parse_args().messages
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder, "allow_anonymous true\nmax_queued_messages 0")
        broker.start()
        try:
            for waiting in (0, count):
                print(json.dumps(measure(folder, waiting, broker)), flush=True)
        finally:
            broker.close()


if __name__ == "__main__":
    main()
