"""Whole-daemon benchmark: CPU time, memory and start-up of `earshot run` with a microphone and a broker, beside YAMNet.

    python benchmarks/whole_daemon.py [--bundle DIR] [--side NAME=PYTHON[:FOLDER]]... [--seconds 60] [--rounds 3]

A PulseAudio with a null sink is the microphone, and a mosquitto the broker. The daemon listens to a quiet room and to a
sound that never ends. CPU time and wakes are sums over all threads of the daemon and of its capture process.
The time until READY=1 is that of a warm start: modules are compiled and in the cache of the disk. Until then, a second
recorder keeps the sound server's latency at that of a microphone. Without it, a null sink delivers after 1 to 2 s.
YAMNet on every 0.975 s, in the runtime of each side, is the anchor. Sides alternate, because machines are shared: a
side is an interpreter, whose packages choose the runtime, and the folder of a checkout.
"""

import argparse
import contextlib
import os
import socket
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

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import Mosquitto, SoundServer  # noqa: E402 - the tests' broker and microphone

RATE = 48000
"""Sample rate of the microphone, Hz."""
SETTLING_SECONDS = 25.0
"""Time after the start that is not measured, s: the gate's first probe, discovery, and the first health message."""
START_SECONDS = 120
"""Longest start of a daemon, s, on a machine with much other work."""
YAMNET = """
import sys, time
import numpy as np
from device.model.classifier import interpreter_class, runtime_name
interpreter = interpreter_class()(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
tensor = interpreter.get_input_details()[0]
waveform = np.random.default_rng(0).normal(0, 0.1, tensor["shape"]).astype(np.float32)
times = []
for _ in range(20):
    time.sleep(0.975)
    started = time.process_time()
    interpreter.set_tensor(tensor["index"], waveform)
    interpreter.invoke()
    times.append(time.process_time() - started)
print(sorted(times)[len(times) // 2] / 0.975, runtime_name())
"""
"""Program that prints the CPU time of YAMNet for a second of sound, s, and the name of the runtime.

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
    runtime: str = ""

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
    try:
        yield
    finally:
        recorder.kill()
        recorder.wait()


def cpu_seconds(process: int) -> float:
    """Return the CPU time of all threads of a process, s, with the kernel's resolution of nanoseconds."""
    total = 0
    for thread in Path(f"/proc/{process}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def spent(process: int) -> tuple[float, int]:
    """Return the CPU time of all threads of a process, s, and how often they have waited for something."""
    tasks = Path(f"/proc/{process}/task").glob("*/status")
    return cpu_seconds(process), sum(
        int(each.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0]) for each in tasks
    )


def resident_mb(process: int) -> float:
    """Return the resident memory of a process, MB of 2**20 bytes."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def child_of(process: int) -> int:
    """Return the process id of the capture process, which is started again where the microphone was not yet there."""
    for _ in range(100):
        if children := Path(f"/proc/{process}/task/{process}/children").read_text().split():
            return int(children[0])
        time.sleep(0.1)
    raise TimeoutError("the daemon has no capture process")


def measure(side: Side, sound: str, options: argparse.Namespace, server: SoundServer, broker: Mosquitto) -> None:
    """Run the daemon of a side, and add its CPU time and wakes per second, memory, and time until READY=1."""
    with tempfile.TemporaryDirectory() as state, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(f"{state}/notify")
        notified.settimeout(START_SECONDS)
        command = [side.python, "-m", "device", "run", "--set", f"mqtt.port={broker.port}"]
        command += ["--set", f"model.bundle={options.bundle}"]
        environment = {**server.environment, "STATE_DIRECTORY": state, "PYTHONPATH": str(side.folder)}
        environment["NOTIFY_SOCKET"] = f"{state}/notify"
        with prompt(server):
            time.sleep(1)  # until the second recorder is connected
            started = time.monotonic()
            daemon = subprocess.Popen(command, cwd=side.folder, env=environment, stderr=subprocess.DEVNULL)
            try:
                while b"READY=1" not in notified.recv(1 << 16):
                    pass
            except TimeoutError:
                daemon.kill()
                raise RuntimeError(f"{side.name}: the daemon is not ready, run {' '.join(command)}") from None
            side.add("ready s", time.monotonic() - started)
            side.add("ready CPU s", cpu_seconds(daemon.pid))
        time.sleep(SETTLING_SECONDS)
        processes = {"daemon": daemon.pid, "capture process": (capture := child_of(daemon.pid))}
        before, begun = {name: spent(process) for name, process in processes.items()}, time.monotonic()
        time.sleep(options.seconds)
        seconds = time.monotonic() - begun
        for name, process in processes.items():
            cpu, wakes = (after - first for after, first in zip(spent(process), before[name], strict=True))
            side.add(f"{sound}: {name} ms/s", cpu / seconds * 1e3)
            side.add(f"{sound}: {name} wakes/s", wakes / seconds)
        side.add(f"{sound}: daemon MB", resident_mb(daemon.pid))
        side.add(f"{sound}: capture process MB", resident_mb(capture))
        daemon.terminate()
        daemon.wait(timeout=20)


def anchor(side: Side, yamnet: Path) -> None:
    """Add the CPU time of YAMNet for a second of sound, in the runtime of a side."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [side.python, "-c", YAMNET, str(yamnet)], env=environment, capture_output=True, text=True, check=True
    )
    seconds, side.runtime = done.stdout.strip().split(" ", 1)
    side.add("YAMNet ms/s", float(seconds) * 1e3)


def report(sides: list[Side]) -> None:
    """Print the medians, and the ratios to each side's YAMNet."""
    for side in sides:
        print(f"\n{side.name}: {side.runtime}, {side.folder}")
        for name, values in side.figures.items():
            print(f"  {name:<28} {side.median(name):9.3f}   {' '.join(f'{value:.3f}' for value in values)}")
        for sound in ("quiet", "busy"):
            if f"{sound}: daemon ms/s" not in side.figures:
                continue
            whole = side.median(f"{sound}: daemon ms/s") + side.median(f"{sound}: capture process ms/s")
            ratios = [f"{whole / each.median('YAMNet ms/s'):.3f} of YAMNet in {each.runtime}" for each in sides]
            print(f"  {sound}: {whole:.2f} ms/s, {', '.join(ratios)}")


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yamnet", type=Path, default=ROOT.parent / "shared" / "peers" / "yamnet.tflite")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k")
    parser.add_argument("--side", action="append", default=[], help="NAME=PYTHON[:FOLDER]")
    parser.add_argument("--sound", choices=["quiet", "busy"], action="append")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sides = [parse_side(text) for text in options.side or [f"here={sys.executable}"]]
    for side in sides:
        subprocess.run([side.python, "-m", "compileall", "-q", side.folder / "device"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        sounds = write_sounds(Path(folder))
        broker, server = Mosquitto(Path(folder)), SoundServer(Path(folder))
        broker.start()
        try:
            for _ in range(options.rounds):
                for side in sides:
                    anchor(side, options.yamnet)
                for sound in options.sound or list(sounds):
                    with playing(sounds[sound], server):
                        for side in sides:
                            measure(side, sound, options, server, broker)
        finally:
            broker.stop()
            server.close()
    report(sides)


if __name__ == "__main__":
    main()
