"""Soak test: growth of the daemon's memory, threads and files over hours of sound.

    python benchmarks/soak.py [--hours 8] [--recordings FOLDER]

The recordings (default: the demo's) are the input of `earshot run --speed max`, repeated, with a mosquitto on this
machine as broker. Memory, threads and file descriptors are read once a second. The position in the sound is the time of
the last event; the number of waiting messages is in the health message, once a minute. Goal: at the end, memory is at
most 5 MB above memory after ten minutes of sound.
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
from checkout import ROOT
from paho.mqtt.enums import CallbackAPIVersion
from processes import resident_mb
from support import Mosquitto

SETTLING_SECONDS = 600
"""Sound before the first compared measurement, s."""
GOAL_MB = 5.0
"""Largest growth of memory, MB."""


@dataclass
class Usage:
    """Resources of the daemon at one time.

    Attributes:
        sound_seconds: sound processed until then, s.
        memory_mb: resident memory, MB.
        threads: number of threads.
        descriptors: number of open file descriptors.
        waiting: messages in the outbox.
    """

    sound_seconds: float
    memory_mb: float
    threads: int
    descriptors: int
    waiting: int


class Subscriber:
    """Subscriber that records the position in the sound, and the number of waiting messages."""

    def __init__(self, port: int) -> None:
        self.started = time.time()
        self.sound_seconds, self.events, self.waiting = 0.0, 0, 0
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
        time_text = content["end_time"] or content["start_time"]
        self.sound_seconds = datetime.fromisoformat(time_text).timestamp() - self.started
        self.events += 1


def link_recordings(recordings: Path, folder: Path, hours: float) -> float:
    """Fill a folder with links to the recordings, repeated for the given hours; return their total length, s."""
    files = sorted(recordings.iterdir()) if recordings.is_dir() else [recordings]
    lengths = {file: soundfile.info(file).duration for file in files}
    total, number = 0.0, 0
    while total < hours * 3600:
        file = files[number % len(files)]
        (folder / f"{number:06}{file.suffix}").symlink_to(file.resolve())
        total, number = total + lengths[file], number + 1
    return total


def measure(pid: int, subscriber: Subscriber) -> Usage:
    """Read the resources of the daemon from /proc."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Usage(subscriber.sound_seconds, resident_mb(pid), int(status["Threads"]), descriptors, subscriber.waiting)


def soak(recordings: Path, hours: float, folder: Path) -> tuple[list[Usage], int]:
    """Run the daemon over hours of sound; return its resources each second, and the number of messages."""
    (folder / "recordings").mkdir()
    total = link_recordings(recordings, folder / "recordings", hours)
    broker = Mosquitto(folder)
    broker.start()
    command = [sys.executable, "-m", "device", "run", "--quiet", "--input", str(folder / "recordings")]
    command += ["--speed", "max", "--exit-at-end", "--set", "node_id=soak", "--set", f"mqtt.port={broker.port}"]
    subscriber = Subscriber(broker.port)
    daemon = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": str(folder / "state")}, cwd=ROOT)
    measurements = []
    while daemon.poll() is None:
        time.sleep(1.0)
        if subscriber.events and daemon.poll() is None:
            measurements.append(measure(daemon.pid, subscriber))
            if len(measurements) % 30 == 0:
                print(f"{subscriber.sound_seconds / total:4.0%}  {measurements[-1]}", flush=True)
    broker.close()
    if daemon.returncode:
        sys.exit(f"the daemon ended with {daemon.returncode}")
    return measurements, subscriber.events


def main() -> None:
    """Measure, and print the results; the exit code is 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0, help="length of the sound, h (default: 8)")
    parser.add_argument("--recordings", type=Path, default=ROOT / "deploy" / "demo" / "street.flac", metavar="PATH")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        measurements, events = soak(arguments.recordings, arguments.hours, Path(folder))
    settled = [usage for usage in measurements if usage.sound_seconds >= SETTLING_SECONDS]
    if not settled:
        sys.exit(
            f"nothing was measured after {SETTLING_SECONDS} s of sound. Increase --hours, or use recordings with events"
        )
    first, last = settled[0], measurements[-1]
    print(
        f"{last.sound_seconds / 3600:.2f} h of sound in {(time.monotonic() - started) / 60:.1f} min, {events} messages"
    )
    for name in ("memory_mb", "threads", "descriptors", "waiting"):
        values = [getattr(usage, name) for usage in settled]
        begin, end = getattr(first, name), getattr(last, name)
        minutes = first.sound_seconds / 60
        print(f"{name:<12} after {minutes:.0f} min {begin:7.1f}, at the end {end:7.1f}, maximum {max(values):7.1f}")
    growth = last.memory_mb - first.memory_mb
    print(f"memory grew by {growth:+.1f} MB (goal: at most {GOAL_MB:+.1f})")
    sys.exit(growth > GOAL_MB)


if __name__ == "__main__":
    main()
