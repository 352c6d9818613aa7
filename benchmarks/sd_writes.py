"""Benchmark of SD card wear: bytes that the daemon writes in a day, idle and at sixty events an hour.

    python benchmarks/sd_writes.py [--minutes 10] [--events-per-hour 60] [--folder FOLDER]

Needs mosquitto. Two real daemons run in real time, each with a state directory below FOLDER and a broker on this
machine. FOLDER must be on a disk, because writes to a tmpfs are not counted. The inputs are silence, and silence with
the dog of the demo's recording at the given rate. Two counters are read after a settling time and at the end: the
kernel's `write_bytes` (/proc/PID/io) of each daemon and its children, and the length of the log, which the journal
writes. Each daemon is one line of JSON.
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
from checkout import ROOT
from paho.mqtt.enums import CallbackAPIVersion
from support import Mosquitto

DEMO_RECORDING = ROOT / "deploy" / "demo" / "street.flac"
DOG_SECONDS = 12
"""Length of the demo's recording up to the end of its dog, s."""
SETTLING_SECONDS = 30
"""Time before the first reading, s."""
DAY_SECONDS = 86400


def write_recording(path: Path, minutes: float, events_per_hour: float) -> None:
    """Write a recording of silence with the dog at regular intervals; without it, if the rate is 0."""
    dog, rate = soundfile.read(DEMO_RECORDING, DOG_SECONDS * soundfile.info(DEMO_RECORDING).samplerate, dtype="int16")
    total = round((minutes * 60 + 2 * SETTLING_SECONDS) * rate)
    samples = np.zeros(total, np.int16)
    if events_per_hour:
        for start in range(0, total - len(dog), round(3600 / events_per_hour * rate)):
            samples[start : start + len(dog)] = dog
    soundfile.write(path, samples, rate)


class Daemon:
    """Running daemon on a recording, with counters of its writes, its log and its events."""

    def __init__(self, folder: Path, name: str, minutes: float, events_per_hour: float, port: int) -> None:
        self.name = name
        self.events = 0
        self._state = folder / name
        self._state.mkdir()
        recording = folder / f"{name}.wav"
        write_recording(recording, minutes, events_per_hour)
        self._log = bytearray()
        settings = [f"--set=mqtt.port={port}", "--set=mqtt.host=127.0.0.1", f"--set=node_id={name}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "device", "run", "--input", str(recording), *settings],
            cwd=ROOT,
            env={**os.environ, "STATE_DIRECTORY": str(self._state)},
            stderr=subprocess.PIPE,  # a log file would add to the written bytes
        )
        threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True).start()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._count
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"earshot/{name}/event/#", 1)
        self._client.loop_start()

    def _read_log(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._log += line

    def _count(self, *_: object) -> None:
        self.events += 1

    def counters(self) -> dict[str, int]:
        """Return the bytes written to storage and to the log, and the number of event messages, so far."""
        if self._process.poll() is not None:
            raise SystemExit(f"{self.name}: the daemon ended: {self._log.decode()}")
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        io_files = [Path(f"/proc/{each}/io").read_text() for each in (pid, *children)]
        return {
            "storage": sum(int(text.split("\nwrite_bytes:")[1].split()[0]) for text in io_files),
            "log": len(self._log),
            "messages": self.events,
        }

    def end(self) -> None:
        """Stop the daemon, and disconnect the subscriber."""
        self._process.terminate()
        self._process.wait(30)
        self._client.loop_stop()


def main() -> None:
    """Measure both daemons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--events-per-hour", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="folder for the state directories (default: the repository)")
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
            time.sleep(SETTLING_SECONDS)
            before, started = [daemon.counters() for daemon in daemons], time.monotonic()
            time.sleep(arguments.minutes * 60)
            after, seconds = [daemon.counters() for daemon in daemons], time.monotonic() - started
        finally:
            for daemon in daemons:
                daemon.end()
            broker.close()
    for daemon, first, last in zip(daemons, before, after, strict=True):
        increase = {key: last[key] - first[key] for key in last}
        a_day = {f"{key}_a_day": round(value * DAY_SECONDS / seconds) for key, value in increase.items()}
        print(json.dumps({"daemon": daemon.name, "seconds": round(seconds), **increase, **a_day}), flush=True)


if __name__ == "__main__":
    main()
