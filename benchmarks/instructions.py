"""Instruction benchmark: instructions of the daemon's main thread for a second of a quiet room, whatever the load.

    python benchmarks/instructions.py [--bundle models/urbansound8k-light] [--seconds 60]
    PYTHONPATH=OTHER_CHECKOUT python benchmarks/instructions.py    # the same for another checkout

The real parts process packets of 0.24 s of stereo sound at 44.1 kHz, as they arrive from the capture process: source,
source monitor, sound level, and pipeline without a probe. The processor counts the instructions of this thread in user
space, by perf_event_open(2), which needs kernel.perf_event_paranoid of at most 2. No other process changes the count.
"""

import argparse
import ctypes
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the daemon sets it
ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

import numpy as np  # noqa: E402 - after the number of threads is set

from device.audio.chunk_queue import Chunk  # noqa: E402
from device.audio.microphone_source import MicrophoneSource  # noqa: E402
from device.config.models import Config  # noqa: E402
from device.monitoring.health import Health  # noqa: E402
from device.monitoring.liveness import Liveness  # noqa: E402
from device.monitoring.load_shedding import LoadShedding  # noqa: E402
from device.monitoring.source_monitor import SourceMonitor  # noqa: E402
from device.pipeline import Pipeline  # noqa: E402
from device.service.observers import Observers, QuietReads  # noqa: E402
from device.service.runtime import open_bundle  # noqa: E402
from device.service.sound_level import SoundLevels  # noqa: E402

RATE = 44100
PACKET = 2 * round(0.12 * RATE)
"""Frames in a packet: two reads."""
SETTLING_PACKETS = 40
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "armv7l": 364}
_INSTRUCTIONS, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1, 1 << 5, 1 << 6
_ATTRIBUTE_BYTES = 128


class InstructionCounter:
    """Counter of the instructions of this thread in user space."""

    def __init__(self) -> None:
        attribute = bytearray(_ATTRIBUTE_BYTES)
        flags = _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR
        struct.pack_into("<IIQQQQQ", attribute, 0, 0, _ATTRIBUTE_BYTES, _INSTRUCTIONS, 0, 0, 0, flags)
        pointer = (ctypes.c_char * _ATTRIBUTE_BYTES).from_buffer(attribute)
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.syscall(_PERF_EVENT_OPEN[os.uname().machine], pointer, 0, -1, -1, 0)
        if self._file < 0:
            sys.exit(f"no counter: {os.strerror(ctypes.get_errno())}. Try: sudo sysctl kernel.perf_event_paranoid=2")

    def count(self) -> int:
        """Return the instructions so far."""
        return int.from_bytes(os.read(self._file, 8), "little")


class QuietRoom:
    """Capture process that delivers a quiet room as fast as it is read, and counts instructions meanwhile.

    Attributes:
        instructions: instructions for a second of sound, once `stop` is set.
    """

    server_source = None

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        noise = np.rint(np.random.default_rng(0).normal(0, 3.3, (80 * PACKET, 1))).astype("<i2")
        self._packets = [part.tobytes() for part in np.split(np.repeat(noise, 2, axis=1), 80)]
        self._last = SETTLING_PACKETS + round(seconds * RATE / PACKET)
        self._stop, self._counter, self._number = stop, InstructionCounter(), 0
        self._start = 0
        self.instructions = 0.0

    def __enter__(self) -> "QuietRoom":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def header(self, _stop: threading.Event) -> dict[str, object]:
        """See `CaptureProcess`."""
        return {"name": "quiet room", "sample_rate": RATE, "channels": 2}

    def set_reads_per_packet(self, reads: int) -> None:
        """See `CaptureProcess`."""

    def read(self, _timeout: float, _stop: threading.Event) -> Chunk | None:
        """See `CaptureProcess`."""
        number, self._number = self._number, self._number + 1
        if number == SETTLING_PACKETS:
            self._start = self._counter.count()
        if number == self._last:
            seconds = (self._last - SETTLING_PACKETS) * PACKET / RATE
            self.instructions = (self._counter.count() - self._start) / seconds
            self._stop.set()
            return None
        data, time = self._packets[number % len(self._packets)], number * PACKET / RATE
        return Chunk(data, number * len(data), 1e9 + time, time)


def measure(bundle_folder: Path, seconds: float, parts: int) -> float:
    """Return the instructions for a second through the first parts: 1 the source, 2 the level as well, 3 all."""
    stop, config = threading.Event(), Config.model_validate({"gate": {"probe_seconds": None}})
    bundle, ensemble = open_bundle(bundle_folder)
    room, health, rate = QuietRoom(seconds, stop), Health(), bundle.sample_rate
    source = MicrophoneSource("auto", rate, queue_seconds=5, stop=stop, on_state=health.on_source_state, capture=room)
    shedding = LoadShedding(limit=4, hop_seconds=1, queue_seconds=5, is_hot=lambda: False)
    items: Iterable[object] = SourceMonitor(
        source,
        rate,
        liveness=Liveness(),
        load_shedding=shedding,
        is_listening=lambda: True,
        on_first_item=lambda: None,
    )
    with tempfile.TemporaryDirectory() as state:
        if parts > 1:
            items = SoundLevels(config, rate, Path(state)).measure(items, lambda *_: None)
        if parts > 2:
            observers = Observers(health, QuietReads(source))
            items = Pipeline(config, bundle, ensemble.classify_live, observers, shedding.factor).run(items)
        for _ in items:
            pass
    return room.instructions


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k-light")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    before = 0.0
    for parts, name in enumerate(("source", "sound level", "pipeline"), 1):
        instructions = measure(arguments.bundle, arguments.seconds, parts)
        print(f"{name:<12} {(instructions - before) / 1e6:6.2f} million instructions for a quiet second")
        before = instructions
    print(f"{'together':<12} {before / 1e6:6.2f}")


if __name__ == "__main__":
    main()
