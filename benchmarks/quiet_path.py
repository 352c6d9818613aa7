"""Quiet-path benchmark: CPU time of listening in a quiet room, compared with YAMNet on every second of sound.

    python benchmarks/quiet_path.py [--yamnet ../shared/peers/yamnet.tflite] [--bundle models/urbansound8k]

Prints CPU time per second of sound for the quiet path (resampling from 48 kHz, blocks, ring buffer, gate), for one
window of the network, and for YAMNet on every 0.975 s. All are measured in one run, because machines are shared and
noisy. Start-up time and memory of the real daemon follow.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from device.audio.resampling import BlockSplitter, Resampler
from device.audio.ring_buffer import RingBuffer
from device.config.models import GateConfig
from device.detection.gate import SoundGate
from device.model.classifier import interpreter_class
from device.service.runtime import open_bundle
from device.util.units import MEGABYTE

SECONDS = 60
"""Length of the sound, s."""
READ = 11520
"""Samples of a read at 48 kHz: 0.24 s, as while nothing sounds."""
REPEATS = 20
"""Windows in a measurement of inference."""
YAMNET_SECONDS = 0.975
ROOT = Path(__file__).resolve().parent.parent


def cpu_seconds(work: Callable[[], None], repeats: int = 5) -> float:
    """Return the smallest CPU time of several runs, s; other processes disturb the slower ones."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def repeat(function: Callable[[Any], Any], argument: Any) -> None:
    """Call a function `REPEATS` times."""
    for _ in range(REPEATS):
        function(argument)


def quiet_path(sample_rate: int) -> Callable[[], None]:
    """Make a function that runs resampler, blocks, ring buffer and gate on a minute of a quiet room at 48 kHz."""
    room = np.random.default_rng(0).normal(0, 1e-4, (SECONDS * 48000, 1)).astype(np.float32)

    def work() -> None:
        resampler, splitter = Resampler(48000, sample_rate), BlockSplitter(sample_rate)
        ring, gate, position = RingBuffer(4 * sample_rate), SoundGate(GateConfig(), sample_rate), 0
        for start in range(0, len(room), READ):
            blocks = splitter.feed(resampler.feed(room[start : start + READ]))
            ring.write(blocks.reshape(-1), position)
            while len(blocks):
                count = 1
                if gate.is_shut:
                    count, _ = gate.update_while_shut(blocks, position)
                else:
                    gate.update(blocks[0], position)
                blocks, position = blocks[count:], position + count * splitter.block_length

    return work


def yamnet(path: Path) -> Callable[[], None]:
    """Make a function that runs YAMNet on every 0.975 s of a minute."""
    interpreter = interpreter_class()(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    waveform = np.zeros(tensor["shape"], np.float32)

    def work() -> None:
        for _ in range(round(SECONDS / YAMNET_SECONDS)):
            interpreter.set_tensor(tensor["index"], waveform)
            interpreter.invoke()

    return work


def daemon_start(bundle: Path) -> tuple[float, float, float]:
    """Return wall and CPU time until the daemon listens, s, and its memory 12 s later, MB; there is no broker."""
    with tempfile.TemporaryDirectory() as state:
        recording = ROOT / "deploy" / "demo" / "street.flac"
        command = [sys.executable, "-m", "device", "run", "--input", str(recording), "--set", "mqtt.port=1"]
        command += ["--set", f"model.bundle={bundle}"]
        environment = {**os.environ, "STATE_DIRECTORY": state}
        started = time.monotonic()
        daemon = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert daemon.stderr is not None
        while "listens to" not in daemon.stderr.readline():
            pass
        wall = time.monotonic() - started
        ticks = Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        time.sleep(12)  # until it has classified windows
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        memory = int(status.split("VmRSS:")[1].split()[0]) * 1024 / MEGABYTE
        daemon.terminate()
        daemon.communicate(timeout=20)
    return wall, cpu, memory


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yamnet", type=Path, default=ROOT.parent / "shared" / "peers" / "yamnet.tflite")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k")
    arguments = parser.parse_args()
    bundle, ensemble = open_bundle(arguments.bundle)
    window = np.random.default_rng(0).integers(-1000, 1000, bundle.window_length).astype(np.int16)
    quiet = cpu_seconds(quiet_path(bundle.sample_rate)) / SECONDS
    print(f"quiet path      {quiet * 1e3:7.2f} ms of CPU per second of sound")
    for name, network in ensemble.networks.items():
        features = cpu_seconds(lambda network=network: repeat(network.log_mel, window)) / REPEATS
        image = network.log_mel(window)
        inference = cpu_seconds(lambda network=network, image=image: repeat(network.outputs, image)) / REPEATS
        print(f"{name:<15} {inference * 1e3:7.2f} ms per window, and {features * 1e3:.2f} ms for its log-mel")
    together = cpu_seconds(lambda: repeat(ensemble.classify_by_all, window)) / REPEATS
    print(f"all networks    {together * 1e3:7.2f} ms per window, log-mels included")
    if arguments.yamnet.is_file():
        peer = cpu_seconds(yamnet(arguments.yamnet)) / SECONDS
        print(f"YAMNet          {peer * 1e3:7.2f} ms of CPU per second of sound")
        print(f"quiet / YAMNet  {quiet / peer:7.3f}   (goal: at most 0.1)")
    else:
        print(f"YAMNet          not measured: no such file: {arguments.yamnet}")
    wall, cpu, memory = daemon_start(arguments.bundle)
    print(f"start-up        {wall:7.2f} s wall, {cpu:.2f} s CPU, until it listens   (goal: under 1 s)")
    print(f"memory          {memory:7.0f} MB resident after the first windows   (goal: under 110 MB)")


if __name__ == "__main__":
    main()
