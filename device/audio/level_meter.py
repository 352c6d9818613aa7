"""A look at one microphone: how loud is what it delivers, and what is wrong with it?"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from device.audio.block_stream import BlockStream
from device.audio.capture_process import CaptureProcess
from device.audio.live_source import STALLED_SECONDS
from device.audio.microphone_source import describe_state
from device.audio.signal_diagnosis import DIAGNOSIS_SECONDS, SignalDiagnosis, SourceState
from device.types import level_dbfs


@dataclass(frozen=True)
class Levels:
    """RMS in dBFS, -100 to 0, of the latest, the quietest and the loudest 30 ms."""

    latest: float
    quietest: float
    loudest: float


@dataclass(frozen=True)
class LevelReading:
    """What a microphone delivered so far.

    Attributes:
        state: what is wrong with it, or "ok".
        message: the same for a person, with its cure.
        levels: None where nothing was delivered.
    """

    state: SourceState
    message: str
    levels: Levels | None


def read_levels(command: list[str], seconds: float, stop: threading.Event) -> Iterator[LevelReading]:
    """Listen for so many seconds of sound, or until `stop` is set; the last reading is the verdict.

    Args:
        command: the capture program and the microphone (`capture_command`).
        seconds: at least JUDGED_SECONDS, or the samples are not judged.
        stop: looked at several times a second.

    Yields:
        A reading for each chunk of sound, some ten a second; a single one, without levels, where there is none.
    """
    with CaptureProcess(command, queue_seconds=DIAGNOSIS_SECONDS) as capture:
        header = capture.header()
        if "state" in header:
            yield LevelReading(header["state"], header["message"], None)
            return
        name, rate = header["name"], header["sample_rate"]
        stream, diagnosis = BlockStream(rate, header["channels"], rate, 0), SignalDiagnosis(rate)
        levels: Levels | None = None
        heard = 0
        while heard < seconds * rate and not stop.is_set():
            chunk = capture.read(STALLED_SECONDS, stop)
            if chunk is None:
                if not stop.is_set():
                    yield LevelReading("stalled", describe_state("stalled", name), levels)
                return
            for block in stream.feed(chunk):
                level = level_dbfs(block.samples)
                levels = levels or Levels(level, level, level)
                levels = Levels(level, min(levels.quietest, level), max(levels.loudest, level))
            diagnosis.feed(stream.frames, chunk.monotonic)
            heard += len(stream.frames)
            yield LevelReading(diagnosis.state, describe_state(diagnosis.state, name), levels)
