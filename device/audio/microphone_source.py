"""Microphone source: blocks from the microphone, which is opened again after any fault."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from device.audio.block_stream import BlockStream
from device.audio.capture_process import CaptureProcess, capture_command
from device.audio.devices import require_pyaudio
from device.audio.live_source import STALLED_SECONDS, LiveSource
from device.audio.signal_diagnosis import PROBLEM_TEXTS, SignalDiagnosis, SourceState
from device.types import Block, SourceLost

_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to open the microphone, s. The last one is repeated without end."""
_LOST_SECONDS = 1.0
"""Time between two `SourceLost` items while there is no sound, s."""
_REOPEN_FLAT_SECONDS = 120.0
"""Time of zeros or a constant after which the microphone is opened again, s."""
_CURES: dict[SourceState, str] = {
    "stalled": "Plug it in again if it does not come back by itself",
    "silent": "Is it muted? Check its switch and alsamixer",
    "dc": "Replace its cable, or the microphone",
    "clipping": "Turn its gain down in alsamixer",
    "wrong_rate": "Try another USB port or a powered hub",
}


def describe_state(state: SourceState, name: str) -> str:
    """Describe the state of an open microphone for a person: the fault and the cure."""
    return f"microphone {name!r} " + (f"{PROBLEM_TEXTS[state]}. {_CURES[state]}" if state in PROBLEM_TEXTS else "works")


class MicrophoneSource(LiveSource):
    """Source of blocks from a microphone, without end. A missing, busy or stalled microphone is opened again.

    Lost samples are counted, and the positions of the blocks jump by their number.

    Args:
        device: "auto", "usb:VENDOR:PRODUCT", or a part of the microphone's name.
        sample_rate: sample rate of the blocks, Hz.
        queue_seconds: sound that may wait for the reader, s.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.
    """

    def __init__(
        self,
        device: str,
        sample_rate: int,
        *,
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] | None = None,
    ) -> None:
        super().__init__(sample_rate, stop, on_state)
        self._command = capture_command(device)
        self._queue_seconds = queue_seconds
        self._last_block_seconds = 0.0

    def __str__(self) -> str:
        return f"microphone {self._command[-1]!r}"

    def __enter__(self) -> Self:
        """Check the installation. Iteration opens the microphone, because it may be plugged in later.

        Raises:
            UnavailableError: PyAudio is not installed, so no microphone can be opened.
        """
        require_pyaudio()
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: iteration closes the microphone."""

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield blocks until `stop` is set, and a `SourceLost` about every second while there is no sound."""
        failures = 0
        while not self._stop.is_set():
            with CaptureProcess(self._command, self._queue_seconds) as capture:
                header = capture.header()
                if "state" in header:
                    self._report_state(header["state"], header["message"])
                else:
                    failures = 0
                    yield from self._read_blocks(capture, header)
            yield from self._pause(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _read_blocks(self, capture: CaptureProcess, header: dict[str, Any]) -> Iterator[Block]:
        """Yield the blocks of one capture process, until it ends, stalls, or delivers a constant for too long."""
        rate, channels = header["sample_rate"], header["channels"]
        stream = BlockStream(rate, channels, self._sample_rate, self._resume_position())
        diagnosis = SignalDiagnosis(rate)
        flat_since: float | None = None
        self._report_state("ok", f"listens to {header['name']!r} at {rate} Hz, {channels} channels")
        while not self._stop.is_set():
            chunk = capture.read(STALLED_SECONDS, self._stop)
            if chunk is None:
                if not self._stop.is_set():
                    self._report_state("stalled", describe_state("stalled", header["name"]))
                return
            for block in stream.feed(chunk):
                self._count_lost(block)
                self._last_block_seconds = chunk.monotonic
                yield block
            diagnosis.feed(stream.channel_samples, chunk.monotonic)
            self._report_state(diagnosis.state, describe_state(diagnosis.state, header["name"]))
            flat = diagnosis.state in ("silent", "dc")
            flat_since = (flat_since or chunk.monotonic) if flat else None
            if flat_since is not None and chunk.monotonic - flat_since > _REOPEN_FLAT_SECONDS:
                return

    def _pause(self, seconds: float) -> Iterator[SourceLost]:
        """Wait, and yield a `SourceLost` every second, so that a wait differs from a hang."""
        end = time.monotonic() + seconds
        while not self._stop.is_set() and (left := end - time.monotonic()) > 0:
            yield SourceLost(self._position)
            self._stop.wait(min(left, _LOST_SECONDS))

    def _resume_position(self) -> int:
        """Return the position of the next block: the time since the last block is a gap."""
        if not self._last_block_seconds:
            return 0
        return self._position + round((time.monotonic() - self._last_block_seconds) * self._sample_rate)
