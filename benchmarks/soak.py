"""Hours of sound through the real daemon as fast as it can: does anything grow?

    python benchmarks/soak.py [--hours 8] [--recordings FOLDER]

The recordings (default: the demo's) are played to `earshot run --speed max` over and over, with a mosquitto of our
own as broker. Memory, threads and file descriptors are read once a second. How far the sound has got, the events' own
times tell; how many messages wait, the health message does, once a minute. Goal: memory at the end within 5 MB of
memory after ten minutes of sound.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as paho
import soundfile
from paho.mqtt.enums import CallbackAPIVersion

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import Mosquitto  # noqa: E402 - the tests' broker

SETTLED_SECONDS = 600
GOAL_MB = 5.0


@dataclass
class Sample:
    """What the daemon held at one time; `heard` is the sound until then, s."""

    heard: float
    memory_mb: float
    threads: int
    descriptors: int
    waiting: int


class Subscriber:
    """How far the sound has got, and how many messages wait, as the daemon itself tells."""

    def __init__(self, port: int) -> None:
        self.started = time.time()
        self.heard, self.events, self.waiting = 0.0, 0, 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(f"earshot/soak/{topic}", 1) for topic in ("event", "event/backlog", "health")])
        self._client.loop_start()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        content = json.loads(message.payload)
        if message.topic.endswith("health"):
            self.waiting = content["outbox"]["depth"]
            return
        told = content["end_time"] or content["start_time"]
        self.heard = datetime.fromisoformat(told).timestamp() - self.started
        self.events += 1


def lay_out(recordings: Path, folder: Path, hours: float) -> float:
    """Fill a folder with links to the recordings, in turn, for so many hours; gives their length in seconds."""
    files = sorted(recordings.iterdir()) if recordings.is_dir() else [recordings]
    lengths = {file: soundfile.info(file).duration for file in files}
    total, number = 0.0, 0
    while total < hours * 3600:
        file = files[number % len(files)]
        (folder / f"{number:06}{file.suffix}").symlink_to(file.resolve())
        total, number = total + lengths[file], number + 1
    return total


def look(pid: int, subscriber: Subscriber) -> Sample:
    """Read what the kernel knows of the daemon."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    memory = int(status["VmRSS"].split()[0]) / 1024
    return Sample(subscriber.heard, memory, int(status["Threads"]), descriptors, subscriber.waiting)


def soak(recordings: Path, hours: float, folder: Path) -> tuple[list[Sample], int]:
    """Run the daemon over so many hours of sound; gives the samples and the number of messages."""
    (folder / "recordings").mkdir()
    total = lay_out(recordings, folder / "recordings", hours)
    broker = Mosquitto(folder)
    broker.start()
    command = [sys.executable, "-m", "device", "run", "--quiet", "--input", str(folder / "recordings")]
    command += ["--speed", "max", "--exit-at-end", "--set", "node_id=soak", "--set", f"mqtt.port={broker.port}"]
    subscriber = Subscriber(broker.port)
    daemon = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": str(folder / "state")}, cwd=ROOT)
    samples = []
    while daemon.poll() is None:
        time.sleep(1.0)
        if subscriber.events and daemon.poll() is None:
            samples.append(look(daemon.pid, subscriber))
            if len(samples) % 30 == 0:
                print(f"{subscriber.heard / total:4.0%}  {samples[-1]}", flush=True)
    broker.close()
    if daemon.returncode:
        sys.exit(f"the daemon ended with {daemon.returncode}")
    return samples, subscriber.events


def main() -> None:
    """Measure and print; the exit code tells whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0, help="of sound (default: 8)")
    parser.add_argument("--recordings", type=Path, default=ROOT / "deploy" / "demo" / "street.flac", metavar="PATH")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        samples, events = soak(arguments.recordings, arguments.hours, Path(folder))
    settled = [sample for sample in samples if sample.heard >= SETTLED_SECONDS]
    if not settled:
        sys.exit(
            f"nothing was measured after {SETTLED_SECONDS} s of sound. Give more --hours, or recordings with events"
        )
    first, last = settled[0], samples[-1]
    print(f"{last.heard / 3600:.2f} h of sound in {(time.monotonic() - started) / 60:.1f} min, {events} messages")
    for name in ("memory_mb", "threads", "descriptors", "waiting"):
        values = [getattr(sample, name) for sample in settled]
        begin, end = getattr(first, name), getattr(last, name)
        print(
            f"{name:<12} after {first.heard / 60:.0f} min {begin:7.1f}, at the end {end:7.1f}, most {max(values):7.1f}"
        )
    growth = last.memory_mb - first.memory_mb
    print(f"memory grew by {growth:+.1f} MB (goal: at most {GOAL_MB:+.1f})")
    sys.exit(growth > GOAL_MB)


if __name__ == "__main__":
    main()
