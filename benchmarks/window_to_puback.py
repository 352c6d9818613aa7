"""Window-to-PUBACK benchmark: time from the last sample of a window to the broker's acknowledgement of its event.

    python benchmarks/window_to_puback.py [--bundle DIR] [--sound FILE] [--rounds 2] [--side NAME=PYTHON[:FOLDER]]...

The daemon gets a recording on standard input, live, block by block in real time. Its broker is a mosquitto behind a
relay, which notes the time of each PUBACK. The same blocks go through the pipeline in this process first: that shows
which block completes the window, or early look, of each `start`, and which networks are asked about it. The delay ends
with the PUBACK, and begins when that block is written. It is compared with the time of the bare networks, which are
invoked before that in a process of their own, with pauses. Sides take turns, as in whole_daemon.py.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from checkout import ROOT
from figures import Figure, make_parser, note, publish
from numpy.typing import NDArray
from support import Mosquitto, free_port
from whole_daemon import HERE, Side, parse_side

from device.audio.files import read_samples
from device.config.models import Config
from device.model.ensemble import Ensemble
from device.pipeline import Pipeline
from device.service.runtime import open_bundle
from device.types import BLOCK_SECONDS, Blocks, Event, GateReason, LogMel, Observer, Samples

RELAY = ROOT / "tests" / "relay.py"
FACTOR, MARGIN_MS = 1.3, 10.0
"""Goal: at most 1.3 times the bare networks plus 10 ms."""
RATE = 16000
"""Sample rate of both bundles, Hz."""
LEAD_SECONDS, TAIL_SECONDS = 3.0, 3.0
"""Room before and after the recording, s."""
INVOKES = """
import sys, time
from pathlib import Path
import numpy as np
from device.service.runtime import open_bundle
bundle, ensemble = open_bundle(Path(sys.argv[1]))
window = np.random.default_rng(0).normal(0, 3000, bundle.window_length).astype(np.int16)
for name, network in ensemble.networks.items():
    log_mel, times = network.log_mel(window), []
    for _ in range(25):
        time.sleep(0.5)
        started = time.perf_counter()
        network.outputs(log_mel)
        times.append(time.perf_counter() - started)
    print(name, sorted(times)[len(times) // 2] * 1e3)
"""
"""Program that prints the time of each network for a window, ms. It waits between windows, as the daemon does."""


@dataclass(frozen=True)
class Start:
    """`start` of a label in the recording.

    Attributes:
        sequence: number of its event message, from 1.
        label: label.
        block: number of the block that completed its window or early look.
        networks: names of the networks that were asked about it.
        is_early: True for an early look.
    """

    sequence: int
    label: str
    block: int
    networks: tuple[str, ...]
    is_early: bool


class StartRecorder(Observer):
    """Observer that notes the block and the networks of each `start`."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.starts: list[Start] = []
        self._blocks = self._events = 0
        self._is_early = False
        self._asked: list[str] = []
        for name, network in ensemble.networks.items():
            network.outputs = self._noting(name, network.outputs)  # type: ignore[method-assign]

    def _noting(self, name: str, outputs: Callable[[LogMel], NDArray[np.float32]]) -> Callable[[LogMel], Any]:
        def noted(log_mel: LogMel) -> NDArray[np.float32]:
            self._asked.append(name)
            return outputs(log_mel)

        return noted

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """Count the blocks."""
        del gate
        self._blocks += round(seconds / BLOCK_SECONDS)
        self._asked.clear()

    def on_window(self, window: object) -> None:
        """Note that a window was classified."""
        del window
        self._is_early = False

    def on_look(self, look: object) -> None:
        """Note that an early look was classified."""
        del look
        self._is_early = True

    def on_event(self, event: Event) -> None:
        """Keep the start of a label."""
        self._events += 1
        if event.type == "start" and event.vocabulary == "bundle":
            start = Start(self._events, event.label, self._blocks - 1, tuple(self._asked), self._is_early)
            self.starts.append(start)


def blocks_of(path: Path, rate: int) -> list[Samples]:
    """Read a recording, with room noise before and after it, as blocks."""
    rng, sound = np.random.default_rng(0), read_samples(path, rate)
    lead, tail = (rng.normal(0, 3, round(seconds * rate)).astype(np.int16) for seconds in (LEAD_SECONDS, TAIL_SECONDS))
    samples, length = np.concatenate([lead, sound, tail]), round(BLOCK_SECONDS * rate)
    return list(samples[: len(samples) // length * length].reshape(-1, length))


def expected_starts(blocks: list[Samples], bundle_path: Path) -> list[Start]:
    """Run the pipeline on the blocks, and return what starts when."""
    bundle, ensemble = open_bundle(bundle_path)
    recorder, length = StartRecorder(ensemble), len(blocks[0])
    pipeline = Pipeline(Config(), bundle, ensemble.classify_live, recorder, classify_look=ensemble.classify_look)
    for _ in pipeline.run(Blocks(samples, number * length, 0.0) for number, samples in enumerate(blocks)):
        pass
    return recorder.starts


def network_times(side: Side, bundle: Path) -> dict[str, float]:
    """Return the time of each bare network for a window, ms, in the runtime of a side."""
    environment = {**os.environ, "PYTHONPATH": str(side.folder), "OPENBLAS_NUM_THREADS": "1"}
    command = [side.python, "-c", INVOKES, str(bundle)]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: float(value) for name, value in map(str.split, lines)}


def play(side: Side, blocks: list[Samples], bundle: Path, broker_port: int) -> tuple[list[float], dict[int, float]]:
    """Play the blocks to the daemon of a side in real time.

    Returns:
        Times in seconds of `time.monotonic`: when each block was written, and when each sequence number was
        acknowledged.
    """
    port, acknowledged = free_port(), dict[int, float]()
    relay_command = [sys.executable, str(RELAY), str(port), str(broker_port), "/dev/stdout"]
    relay = subprocess.Popen(relay_command, stdout=subprocess.PIPE, text=True)

    def follow() -> None:
        for line in relay.stdout or ():
            acknowledged[int(line)] = time.monotonic()

    threading.Thread(target=follow, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as state:
            written = _write(side, blocks, bundle, port, state)
    finally:
        relay.kill()
        relay.wait()
    return written, acknowledged


def _write(side: Side, blocks: list[Samples], bundle: Path, port: int, state: str) -> list[float]:
    """Run the daemon, and write the blocks to its standard input in real time; return when each was written."""
    command = [side.python, "-m", "device", "run", "--input", "-", "--set", "mqtt.host=127.0.0.1"]
    command += ["--set", f"mqtt.port={port}", "--set", f"model.bundle={bundle}", "--set", "load.maximum_stretch=1"]
    environment = {**os.environ, "STATE_DIRECTORY": state, "PYTHONPATH": str(side.folder)}
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    daemon = subprocess.Popen(command, cwd=side.folder, env=environment, **pipes)
    assert daemon.stdin is not None
    assert daemon.stderr is not None
    for line in daemon.stderr:
        if b"connected to the broker" in line:
            break
    threading.Thread(target=daemon.stderr.read, daemon=True).start()
    time.sleep(1.0)  # discovery and states are delivered first
    written, begun = [], time.monotonic()
    for number, block in enumerate(blocks, 1):
        time.sleep(max(0.0, begun + number * BLOCK_SECONDS - time.monotonic()))
        written.append(time.monotonic())
        daemon.stdin.write(block.astype("<i2").tobytes())
        daemon.stdin.flush()
    daemon.stdin.close()
    daemon.wait(timeout=60)
    return written


def figures(side: Side, starts: list[Start], bundle: Path) -> Iterator[Figure]:
    """Yield the median delays of windows and early looks, by the networks that were asked, beside those networks."""
    where = bundle.name if side.name == HERE else f"{bundle.name}, {side.name}"
    for is_early in (False, True):
        for networks in sorted({start.networks for start in starts if start.is_early == is_early}):
            name = f"{'early look' if is_early else 'window'}, {' and '.join(networks)}"
            if name not in side.figures:
                continue
            bare = sum(side.median(f"network {network}") for network in networks)
            delays, goal = side.figures[name], FACTOR + MARGIN_MS / bare
            note(f"{name}, {where}: {len(delays)} events, longest delay {max(delays):.1f} ms")
            name_of_figure = f"last sample to PUBACK, {name}, {where}"
            yield Figure(name_of_figure, side.median(name), "ms", bare, "the bare networks", goal)


def main() -> None:
    """Measure, and print the delays."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k")
    parser.add_argument("--sound", type=Path, default=ROOT / "deploy" / "demo" / "street.flac")
    parser.add_argument("--side", action="append", default=[], help="NAME=PYTHON[:FOLDER]")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    bundle = options.bundle.resolve()
    blocks = blocks_of(options.sound, RATE)
    starts = expected_starts(blocks, bundle)
    sides = [parse_side(text) for text in options.side or [f"{HERE}={sys.executable}"]]
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        broker.start()
        try:
            for _ in range(options.rounds):
                for side in sides:
                    for name, milliseconds in network_times(side, bundle).items():
                        side.add(f"network {name}", milliseconds)
                    written, acknowledged = play(side, blocks, bundle, broker.port)
                    for start in starts:
                        name = f"{'early look' if start.is_early else 'window'}, {' and '.join(start.networks)}"
                        if start.sequence in acknowledged:
                            side.add(name, (acknowledged[start.sequence] - written[start.block]) * 1e3)
        finally:
            broker.stop()
    for side in sides:
        publish(figures(side, starts, bundle), as_json=options.json)


if __name__ == "__main__":
    main()
