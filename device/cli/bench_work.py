"""Work of listening whose cost is measured: by `earshot bench` on a user's machine, and by the project's benchmarks."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk
from device.audio.signal_diagnosis import SignalDiagnosis
from device.config.models import Config
from device.level.monitor import LevelMonitor
from device.model.bundle import Bundle
from device.model.ensemble import Ensemble
from device.pipeline import Pipeline
from device.types import Blocks, Samples
from device.util.samples import to_int16

_RATE = 48000
"""Sample rate of the simulated microphone, Hz; it has two channels."""
_READ_SECONDS = 0.24
"""Sound that a microphone delivers at once while nothing sounds, s."""
_NOISE_SECONDS = 10
"""Length of the noise, which is repeated, s."""
_QUIET_ROOM = 1e-4
"""RMS of the quiet sound, full scale 1: -80 dBFS."""


def quiet_sound(seconds: int) -> list[Chunk]:
    """Make the reads of a stereo microphone at 48 kHz in a quiet room."""
    data = np.resize(_noise(), (seconds * _RATE, 2)).tobytes()
    length = round(_READ_SECONDS * _RATE) * 4
    reads = [data[start : start + length] for start in range(0, len(data), length)]
    return [Chunk(read, n * length, n * _READ_SECONDS, n * _READ_SECONDS) for n, read in enumerate(reads)]


@functools.cache  # instructions.py compares runs of different length: both must make it once
def _noise() -> Samples:
    """Make the noise of a quiet room, shape (n, 2), int16."""
    return to_int16(np.random.default_rng(0).normal(0.0, _QUIET_ROOM, (_NOISE_SECONDS * _RATE, 2)))


def quiet_work(config: Config, bundle: Bundle, ensemble: Ensemble) -> Callable[[Sequence[Chunk]], None]:
    """Return a function that does what the daemon's main thread does with the reads of a quiet microphone.

    It converts them to blocks, diagnoses the signal, measures the sound level, and looks for sounds. There is no probe.
    """
    gate = config.gate.model_copy(update={"probe_seconds": None})
    config = config.model_copy(update={"gate": gate})
    rate = bundle.sample_rate

    def blocks(reads: Sequence[Chunk]) -> Iterator[Blocks]:
        stream, diagnosis = BlockStream(_RATE, 2, rate, 0), SignalDiagnosis(_RATE)
        for read in reads:
            if (complete := stream.feed(read)) is not None:
                yield complete
            diagnosis.feed(stream.channel_samples, stream.mono, read.monotonic)

    def work(reads: Sequence[Chunk]) -> None:
        pipeline = Pipeline(config, bundle, ensemble.classify_live)
        level, longest = config.level, config.events.maximum_seconds
        monitor = LevelMonitor(rate, level.time_weighting, longest, lambda time: time, lambda *_: None)
        for _ in pipeline.run(monitor.measure(blocks(reads)) if level.enabled else blocks(reads)):
            pass

    return work


def loud_windows(bundle: Bundle) -> Iterator[Samples]:
    """Yield two windows of loud noise in turn, without end, shape (window_length,), int16.

    The networks cost the same for any sound. No window shares frames with the last one, as at the begin of a sound.
    """
    windows = np.random.default_rng(0).normal(0.0, 0.1, (2, bundle.window_length))
    return itertools.cycle(to_int16(windows))
