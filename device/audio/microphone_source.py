"""The microphone as a source that never dies: whatever happens to it, it is opened again."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from device.audio.block_stream import BlockStream
from device.audio.capture_process import CaptureProcess, capture_command
from device.audio.devices import require_pyaudio
from device.audio.live_source import STALLED_SECONDS, LiveSource
from device.audio.signal_diagnosis import PROBLEMS, SignalDiagnosis, SourceState
from device.types import Block, SourceLost

_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to open it; the last one is repeated for ever."""
_SAY_SECONDS = 1.0
"""How often it is said that there is nothing to hear."""
_REOPEN_FLAT_SECONDS = 120.0
"""Zeros or a constant for so long, and opening it again may help."""
_CURES: dict[SourceState, str] = {
    "stalled": "Plug it in again if it does not come back by itself",
    "silent": "Is it muted? Check its switch and alsamixer",
    "dc": "It is broken, or its cable is",
    "clipping": "Turn its gain down in alsamixer",
    "wrong_rate": "Try another USB port or a powered hub",
}


def describe_state(state: SourceState, name: str) -> str:
    """What to say to a person of a microphone that was opened: what is wrong with it, and the cure."""
    return f"microphone {name!r} " + (f"{PROBLEMS[state]}. {_CURES[state]}" if state in PROBLEMS else "is well")


class MicrophoneSource(LiveSource):
    """Blocks from a microphone, for ever: absent, unplugged, busy or dead, it is waited for and opened again.

    Sound that was lost, for whatever reason, is counted, and the positions of the blocks jump by as much.

    Args:
        device: "auto", "usb:VENDOR:PRODUCT", or a part of the microphone's name.
        sample_rate: Hz, of the blocks.
        queue_seconds: sound that may wait for the reader.
        stop: when set, the source ends.
        on_state: told of each change: the state, and a line for a person.
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
        self._last_heard = 0.0

    def __str__(self) -> str:
        return f"microphone {self._command[-1]!r}"

    def __enter__(self) -> Self:
        """Nothing is opened yet: a microphone may come and go.

        Raises:
            UnavailableError: PyAudio is not installed, so none will ever come.
        """
        require_pyaudio()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open when nobody iterates."""

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield blocks, and while there is nothing to hear a `SourceLost` every second or so, until `stop` is set."""
        failures = 0
        while not self._stop.is_set():
            with CaptureProcess(self._command, self._queue_seconds) as capture:
                header = capture.header()
                if "state" in header:
                    self._tell(header["state"], header["message"])
                else:
                    failures = 0
                    yield from self._listen(capture, header)
            yield from self._nothing_for(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _listen(self, capture: CaptureProcess, header: dict[str, Any]) -> Iterator[Block]:
        """Yield the blocks of one life of the capture program, until it ends, stalls, or stays flat."""
        rate, channels = header["sample_rate"], header["channels"]
        stream = BlockStream(rate, channels, self._sample_rate, self._resume())
        diagnosis = SignalDiagnosis(rate)
        flat_since: float | None = None
        self._tell("ok", f"listens to {header['name']!r} at {rate} Hz, {channels} channels")
        while not self._stop.is_set():
            chunk = capture.read(STALLED_SECONDS, self._stop)
            if chunk is None:
                if not self._stop.is_set():
                    self._tell("stalled", describe_state("stalled", header["name"]))
                return
            for block in stream.feed(chunk):
                self._take(block)
                self._last_heard = chunk.monotonic
                yield block
            diagnosis.feed(stream.frames, chunk.monotonic)
            self._tell(diagnosis.state, describe_state(diagnosis.state, header["name"]))
            flat = diagnosis.state in ("silent", "dc")
            flat_since = (flat_since or chunk.monotonic) if flat else None
            if flat_since is not None and chunk.monotonic - flat_since > _REOPEN_FLAT_SECONDS:
                return

    def _nothing_for(self, seconds: float) -> Iterator[SourceLost]:
        """Wait, and say meanwhile that nothing is heard: so whoever listens can tell waiting from hanging."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            yield SourceLost(self._position)
            self._stop.wait(min(left, _SAY_SECONDS))

    def _resume(self) -> int:
        """Position at which a stream goes on that was broken: it counts the time, too."""
        if not self._last_heard:
            return 0
        return self._position + round((time.monotonic() - self._last_heard) * self._sample_rate)
