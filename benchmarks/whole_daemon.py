"""Whole-daemon benchmark: CPU time, memory and start-up of `earshot run` with a microphone and a broker, beside YAMNet.

    python benchmarks/whole_daemon.py [--bundle DIR] [--side NAME=PYTHON[:FOLDER]]... [--seconds 60] [--rounds 3]

A PulseAudio with a null sink is the microphone, and a mosquitto the broker. The daemon listens to a quiet room and to a
sound that never ends. CPU time and wakes are sums over all threads of the daemon and of its capture process. The start
until READY=1 is a warm one: modules are compiled and in the disk's cache. Meanwhile a second recorder keeps the sound
server's latency at that of a microphone; without it, a null sink delivers after 1 to 2 s.
YAMNet on every 0.975 s, in each installed runtime, is the peer. Sides alternate, because machines are shared: a side is
an interpreter, whose packages choose the runtime, and the folder of a checkout.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from checkout import ROOT
from figures import Figure, Result, Skipped, make_parser, note, publish
from peers import YAMNET
from processes import child_of, cpu_seconds, resident_mb, running_daemon, wakes
from support import Mosquitto, SoundServer

from device.model.classifier import RUNTIMES

HERE = "here"
"""Name of the side that is this checkout with this interpreter."""
RATE = 48000
"""Sample rate of the microphone, Hz."""
SETTLING_SECONDS = 25.0
"""Time after the start that is not measured, s: the gate's first probe, discovery, and the first health message."""
GOALS = {
    ("quiet", "ai-edge-litert"): 1.0,
    ("quiet", "tflite-runtime"): 0.1,
    ("busy", "ai-edge-litert"): 4.0,
    ("busy", "tflite-runtime"): 0.6,
}
"""Most that a second of sound may cost, as a share of YAMNet's cost in a runtime."""
MEMORY_GOALS = {"urbansound8k-light": 85.0, "urbansound8k": 110.0}
"""Most memory of the daemon, MB, by the name of the bundle."""
READY_GOAL_SECONDS = 0.7
YAMNET_PROGRAM = """
import json, sys, time
from pathlib import Path
from peers import YAMNET_SECONDS, runtimes, yamnet_work
medians = {}
for name, runtime in runtimes().items():
    work, times = yamnet_work(Path(sys.argv[1]), runtime), []
    for _ in range(12):
        time.sleep(YAMNET_SECONDS)
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    medians[name] = sorted(times)[len(times) // 2] / YAMNET_SECONDS
print(json.dumps(medians))
"""
"""Program that prints the CPU time of YAMNet for a second of sound in each runtime, s.

It waits between windows, as the daemon does: after a wait the caches are cold, and the times longer than in a loop."""


@dataclass
class Side:
    """One of the compared installations, with its measurements.

    Attributes:
        name: name for the report.
        python: interpreter that runs the daemon.
        folder: checkout of Earshot.
        figures: measurements of each round, by name.
    """

    name: str
    python: str
    folder: Path
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Add a measurement."""
        self.figures.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Return the median of a measurement's rounds."""
        return statistics.median(self.figures[name])


def parse_side(text: str) -> Side:
    """Return the side that NAME=PYTHON[:FOLDER] names; without a folder, that of this checkout."""
    name, _, place = text.partition("=")
    python, _, folder = place.partition(":")
    return Side(name, python, Path(folder or ROOT).resolve())


def write_sounds(folder: Path) -> dict[str, Path]:
    """Write two minutes of a quiet room, and of the demo's jackhammer without a pause; return the paths by name."""
    room = np.random.default_rng(0).normal(0, 1e-4, 120 * RATE).astype(np.float32)
    street, rate = soundfile.read(ROOT / "deploy" / "demo" / "street.flac", dtype="float32")
    hammer = soxr.resample(street[40 * rate : 45 * rate], rate, RATE)
    paths = {"quiet": folder / "quiet.wav", "busy": folder / "busy.wav"}
    soundfile.write(paths["quiet"], room, RATE)
    soundfile.write(paths["busy"], np.tile(hammer, 24), RATE)
    return paths


@contextlib.contextmanager
def playing(path: Path, server: SoundServer) -> Iterator[None]:
    """Play a file into the microphone again and again, within the context."""
    command = ["sh", "-c", f"while :; do paplay --device=usb_microphone {path}; done"]
    player = subprocess.Popen(command, env=server.environment, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(player.pid, 15)
        player.wait()


@contextlib.contextmanager
def prompt(server: SoundServer) -> Iterator[None]:
    """Make the microphone deliver promptly, within the context: its latency is the least that a recorder asks for."""
    command = ["parec", "--latency-msec=20", "--device=usb_microphone.monitor"]
    recorder = subprocess.Popen(command, env=server.environment, stdout=subprocess.DEVNULL)
    time.sleep(1)  # until it is connected
    try:
        yield
    finally:
        recorder.kill()
        recorder.wait()


def measure(side: Side, sound: str, options: argparse.Namespace, server: SoundServer, broker: Mosquitto) -> None:
    """Run the daemon of a side, and add its CPU time and wakes per second, memory, and time until READY=1."""
    arguments = ["--set", f"mqtt.port={broker.port}", "--set", f"model.bundle={options.bundle}"]
    with contextlib.ExitStack() as until_ready, contextlib.ExitStack() as running:
        until_ready.enter_context(prompt(server))
        daemon = running.enter_context(
            running_daemon(arguments, environment=server.environment, python=side.python, checkout=side.folder)
        )
        until_ready.close()
        side.add("ready s", daemon.ready_seconds)
        side.add("ready CPU s", daemon.ready_cpu_seconds)
        time.sleep(SETTLING_SECONDS)
        processes = {"daemon": daemon.pid, "capture process": child_of(daemon.pid)}
        before, begun = {name: (cpu_seconds(pid), wakes(pid)) for name, pid in processes.items()}, time.monotonic()
        time.sleep(options.seconds)
        seconds = time.monotonic() - begun
        for name, pid in processes.items():
            cpu, woken = cpu_seconds(pid) - before[name][0], wakes(pid) - before[name][1]
            side.add(f"{sound}: {name} ms/s", cpu / seconds * 1e3)
            side.add(f"{sound}: {name} wakes/s", woken / seconds)
            side.add(f"{sound}: {name} MB", resident_mb(pid))


def add_yamnet(side: Side, yamnet: Path) -> None:
    """Add the CPU time of YAMNet for a second of sound, in each runtime of a side's interpreter."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
    command = [side.python, "-c", YAMNET_PROGRAM, str(yamnet)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    for runtime, seconds in json.loads(done.stdout).items():
        side.add(yamnet_figure(runtime), seconds * 1e3)


def yamnet_figure(runtime: str) -> str:
    """Return the name under which a side keeps the measurements of YAMNet in a runtime."""
    return f"YAMNet in {runtime} ms/s"


def figures(side: Side, sounds: list[str], bundle: Path) -> Iterator[Result]:
    """Yield the medians of a side, its CPU time beside each YAMNet."""
    where = bundle.name if side.name == HERE else f"{bundle.name}, {side.name}"
    for sound in sounds:
        whole = side.median(f"{sound}: daemon ms/s") + side.median(f"{sound}: capture process ms/s")
        name = f"whole daemon, {sound}, {where}"
        peers = [runtime for runtime in RUNTIMES if yamnet_figure(runtime) in side.figures]
        for runtime in peers:
            peer, goal = side.median(yamnet_figure(runtime)), GOALS[sound, runtime]
            yield Figure(name, whole, "ms/s of CPU", peer, f"YAMNet in {runtime}", goal)
        if not peers:
            yield Figure(name, whole, "ms/s of CPU")
        for process in ("daemon", "capture process"):
            yield Figure(
                f"wakes of the {process}, {sound}, {where}", side.median(f"{sound}: {process} wakes/s"), "a second"
            )
    memory = max(side.median(f"{sound}: daemon MB") for sound in sounds)
    yield Figure(f"memory of the daemon, {where}", memory, "MB", goal=MEMORY_GOALS.get(bundle.name))
    capture = max(side.median(f"{sound}: capture process MB") for sound in sounds)
    yield Figure(f"memory of the capture process, {where}", capture, "MB")
    yield Figure(f"start until READY with a microphone, {where}", side.median("ready s"), "s", goal=READY_GOAL_SECONDS)
    yield Figure(f"CPU time until READY with a microphone, {where}", side.median("ready CPU s"), "s")


def main() -> None:
    """Measure, and print the results."""
    parser = make_parser(__doc__)
    parser.add_argument("--yamnet", type=Path, default=YAMNET)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k-light")
    parser.add_argument("--side", action="append", default=[], help="NAME=PYTHON[:FOLDER]")
    parser.add_argument("--sound", choices=["quiet", "busy"], action="append")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sides = [parse_side(text) for text in options.side or [f"{HERE}={sys.executable}"]]
    for side in sides:
        subprocess.run([side.python, "-m", "compileall", "-q", side.folder / "device"], check=True)
    sounds = options.sound or ["quiet", "busy"]
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sounds(Path(folder))
        broker, server = Mosquitto(Path(folder)), SoundServer(Path(folder))
        broker.start()
        try:
            for _ in range(options.rounds):
                for side in sides if options.yamnet.is_file() else []:
                    add_yamnet(side, options.yamnet)
                for sound in sounds:
                    with playing(paths[sound], server):
                        for side in sides:
                            measure(side, sound, options, server, broker)
        finally:
            broker.stop()
            server.close()
    for side in sides:
        note({name: [round(value, 3) for value in values] for name, values in side.figures.items()})
        publish(figures(side, sounds, options.bundle), as_json=options.json)
    if not options.yamnet.is_file():
        publish([Skipped("whole daemon beside YAMNet", f"no file {options.yamnet}")], as_json=options.json)


if __name__ == "__main__":
    main()
