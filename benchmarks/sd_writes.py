"""What the daemon writes to its SD card in a day: while nothing sounds, and at sixty events an hour.

    python benchmarks/sd_writes.py [--minutes 10] [--events-per-hour 60] [--folder FOLDER]

Needs mosquitto. Two real daemons run at the pace of the clock, each with a state directory below FOLDER (which must be
on a disk: a tmpfs counts as none), a broker on this machine, and a recording as input: silence, and the dog of the
demo's recording so many times an hour. What the kernel charges to them and their children for storage (`write_bytes`
of /proc/PID/io) is read when they have settled and at the end, and so is what they log, which the journal writes. One
line of JSON a daemon.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import numpy as np
import paho.mqtt.client as paho
import soundfile
from paho.mqtt.enums import CallbackAPIVersion

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import Mosquitto  # noqa: E402 - the tests' broker

STREET = ROOT / "deploy" / "demo" / "street.flac"
DOG_SECONDS = 12
SETTLED_SECONDS = 30
DAY_SECONDS = 86400


def record(path: Path, minutes: float, events_per_hour: float) -> None:
    """Lay out the recording: the dog so often, and silence for the rest."""
    dog, rate = soundfile.read(STREET, DOG_SECONDS * soundfile.info(STREET).samplerate, dtype="int16")
    total = round((minutes * 60 + 2 * SETTLED_SECONDS) * rate)
    samples = np.zeros(total, np.int16)
    if events_per_hour:
        for start in range(0, total - len(dog), round(3600 / events_per_hour * rate)):
            samples[start : start + len(dog)] = dog
    soundfile.write(path, samples, rate)


class Daemon:
    """A daemon that hears a recording; what it and its children wrote, and what it logged."""

    def __init__(self, folder: Path, name: str, minutes: float, events_per_hour: float, port: int) -> None:
        self.name = name
        self.events = 0
        self._state = folder / name
        self._state.mkdir()
        recording = folder / f"{name}.wav"
        record(recording, minutes, events_per_hour)
        self._logged = bytearray()
        settings = [f"--set=mqtt.port={port}", "--set=mqtt.host=127.0.0.1", f"--set=node_id={name}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "device", "run", "--input", str(recording), *settings],
            cwd=ROOT,
            env={**os.environ, "STATE_DIRECTORY": str(self._state)},
            stderr=subprocess.PIPE,  # in a file it would count as written
        )
        threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True).start()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._count
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"earshot/{name}/event/#", 1)
        self._client.loop_start()

    def _read_log(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._logged += line

    def _count(self, *_: object) -> None:
        self.events += 1

    def written(self) -> dict[str, int]:
        """Bytes so far: to storage, and to the log; and event messages."""
        if self._process.poll() is not None:
            raise SystemExit(f"{self.name}: the daemon ended: {self._logged.decode()}")
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        counters = [Path(f"/proc/{each}/io").read_text() for each in (pid, *children)]
        return {
            "storage": sum(int(text.split("\nwrite_bytes:")[1].split()[0]) for text in counters),
            "log": len(self._logged),
            "messages": self.events,
        }

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        self._client.loop_stop()


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--events-per-hour", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="where the state directories are made (default: this one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder or ROOT) as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        broker.start()
        daemons = [
            Daemon(folder, "idle", arguments.minutes, 0, broker.port),
            Daemon(folder, "busy", arguments.minutes, arguments.events_per_hour, broker.port),
        ]
        try:
            time.sleep(SETTLED_SECONDS)
            before, begun = [daemon.written() for daemon in daemons], time.monotonic()
            time.sleep(arguments.minutes * 60)
            after, seconds = [daemon.written() for daemon in daemons], time.monotonic() - begun
        finally:
            for daemon in daemons:
                daemon.end()
            broker.close()
    for daemon, first, last in zip(daemons, before, after, strict=True):
        grown = {key: last[key] - first[key] for key in last}
        a_day = {f"{key}_a_day": round(value * DAY_SECONDS / seconds) for key, value in grown.items()}
        print(json.dumps({"daemon": daemon.name, "seconds": round(seconds), **grown, **a_day}), flush=True)


if __name__ == "__main__":
    main()
