"""Level meter: level and diagnosis of one microphone or stream."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from device.audio.block_stream import BlockStream
from device.audio.capture_kind import Capture
from device.audio.capture_process import CaptureProcess
from device.audio.signal_diagnosis import DIAGNOSIS_SECONDS, SignalDiagnosis
from device.audio.source_state import SourceState
from device.types import BLOCK_SECONDS
from device.util.samples import level_dbfs


@dataclass(frozen=True)
class Levels:
    """RMS levels of blocks of 30 ms, dBFS, -100 to 0.

    Attributes:
        latest: level of the last block.
        quietest: lowest level so far.
        loudest: highest level so far.
    """

    latest: float
    quietest: float
    loudest: float


@dataclass(frozen=True)
class LevelReading:
    """State and levels of a microphone so far.

    Attributes:
        state: state of the source, "ok" without a fault.
        message: the same for a person, with the cure.
        levels: levels of the blocks; None if nothing was delivered.
    """

    state: SourceState
    message: str
    levels: Levels | None


def read_levels(capture: Capture, seconds: float, stop: threading.Event) -> Iterator[LevelReading]:
    """Measure the level of a microphone or stream; the last reading contains the diagnosis.

    Args:
        capture: the source to measure.
        seconds: sound to measure, s; at least DIAGNOSIS_SECONDS, otherwise the samples are not diagnosed.
        stop: when set, the measurement ends; checked several times a second.

    Yields:
        A reading for each chunk, about ten a second. A single one, without levels, if nothing is delivered.
    """
    kind = capture.kind
    with CaptureProcess(capture, DIAGNOSIS_SECONDS) as process:
        header = process.header(stop)
        if stop.is_set():
            return
        if "state" in header:
            yield LevelReading(header["state"], header["message"], None)
            return
        name, rate = header["name"], header["sample_rate"]
        stream = BlockStream(rate, header["channels"], rate, 0, selected=capture.channels)
        diagnosis = SignalDiagnosis(rate, DIAGNOSIS_SECONDS)
        levels: Levels | None = None
        sample_count = 0
        while sample_count < seconds * rate and not stop.is_set():
            chunk = process.read(kind.stalled_seconds, stop)
            if chunk is None:
                if not stop.is_set():
                    yield LevelReading("stalled", kind.describe("stalled", name), levels)
                return
            blocks = stream.feed(chunk)
            for samples in () if blocks is None else blocks.samples.reshape(-1, round(BLOCK_SECONDS * rate)):
                level = level_dbfs(samples)
                levels = levels or Levels(level, level, level)
                levels = Levels(level, min(levels.quietest, level), max(levels.loudest, level))
            diagnosis.feed(stream.channel_samples, stream.mono, chunk.monotonic)
            sample_count += len(stream.channel_samples)
            yield LevelReading(diagnosis.state, kind.describe(diagnosis.state, name), levels)
