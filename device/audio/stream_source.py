"""Stream source: blocks from the sound of a camera, or of any other address that ffmpeg reads."""

import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Self

from device.audio.capture_kind import STREAM, Capture
from device.audio.captured_source import CapturedSource
from device.audio.source_state import SourceState
from device.errors import UnavailableError
from device.util.urls import public_name

_COMMAND = (sys.executable, "-m", "device.audio.stream_worker")


def stream_capture(url: str, channels: Sequence[int]) -> Capture:
    """Return the capture of a stream. Its address goes to standard input: the command line would show a password."""
    return Capture(_COMMAND, STREAM, channels, f"{url}\n".encode())


def require_ffmpeg() -> None:
    """Check that ffmpeg is installed, which only streams need.

    Raises:
        UnavailableError: ffmpeg is not installed.
    """
    if shutil.which("ffmpeg") is None:
        raise UnavailableError("a stream needs ffmpeg, which is not installed. Run: sudo apt-get install ffmpeg")


class StreamSource(CapturedSource):
    """Source of blocks from a stream, without end. One that ends, stalls or cannot be reached is opened again.

    Args:
        url: address of the stream. Only its scheme, host and port appear in messages.
        sample_rate: sample rate of the blocks, Hz.
        channels: channels that are averaged, counted from 1; empty for all.
        queue_seconds: sound that may wait for the reader, s.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.
    """

    def __init__(
        self,
        url: str,
        sample_rate: int,
        *,
        channels: Sequence[int] = (),
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] | None = None,
    ) -> None:
        super().__init__(
            stream_capture(url, channels),
            sample_rate,
            queue_seconds=queue_seconds,
            stop=stop,
            on_state=on_state,
        )
        self._name = public_name(url)

    def __str__(self) -> str:
        return f"stream {self._name!r}"

    def __enter__(self) -> Self:
        """Check the installation. Iteration opens the stream, because its server may start later.

        Raises:
            UnavailableError: ffmpeg is not installed.
        """
        require_ffmpeg()
        return self
