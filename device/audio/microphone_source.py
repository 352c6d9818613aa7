"""Microphone source: blocks from the microphone, which is opened again after any fault."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

from device.audio.capture_kind import MICROPHONE, Capture
from device.audio.capture_process import CaptureProcess, capture_command
from device.audio.captured_source import CapturedSource
from device.audio.chunk_queue import Chunk
from device.audio.devices import require_pyaudio, usb_microphones
from device.audio.source_state import DEAF_STATES, SourceState

_REOPEN_DEAF_SECONDS = 120.0
"""Time without sound of the room after which the microphone is opened again, s."""


class MicrophoneSource(CapturedSource):
    """Source of blocks from a microphone, without end. A missing, busy or stalled microphone is opened again.

    A microphone without sound of the room is opened again from time to time. `auto` then takes another one if there is
    one, and at once if it has been plugged in since.

    Args:
        device: "auto", "usb:VENDOR:PRODUCT", the same with "@PORT", or a part of the microphone's name.
        sample_rate: sample rate of the blocks, Hz.
        channels: channels that are averaged, counted from 1; empty for at most the first two.
        queue_seconds: sound that may wait for the reader, s.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.
        capture: capture process for `device` that has started already; the iteration reads and ends it.
    """

    def __init__(
        self,
        device: str,
        sample_rate: int,
        *,
        channels: Sequence[int] = (),
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] | None = None,
        capture: CaptureProcess | None = None,
    ) -> None:
        super().__init__(
            Capture(capture_command(device, channels), MICROPHONE, channels),
            sample_rate,
            queue_seconds=queue_seconds,
            stop=stop,
            on_state=on_state,
            running=capture,
        )
        self._device = device
        self._deaf: list[str] = []
        self._deaf_since: float | None = None
        self._plugged_in: set[str] = set()
        self._own_source: str | None = None

    def __str__(self) -> str:
        return f"microphone {self._device!r}"

    def __enter__(self) -> Self:
        """Check the installation. Iteration opens the microphone, because it may be plugged in later.

        Raises:
            UnavailableError: PyAudio is not installed, so no microphone can be opened.
        """
        require_pyaudio()
        return self

    def _next_command(self) -> Sequence[str]:
        """Return the command, with the microphones to avoid."""
        return [*self._command, *self._deaf]

    def _begin(self) -> None:
        """Note which microphones could have been chosen."""
        self._plugged_in, self._deaf_since = usb_microphones(), None

    def _state(self, diagnosed: SourceState, capture: CaptureProcess) -> SourceState:
        """Return the diagnosed state, or `monitor`."""
        return "monitor" if self._records_monitor(capture.server_source) else diagnosed

    def _must_reopen(self, state: SourceState, name: str, chunk: Chunk) -> bool:
        """Return whether to open the microphone again, or another one, because it has been deaf for too long."""
        if state == "ok" and name in self._deaf:
            self._deaf.remove(name)
        if state not in DEAF_STATES:
            self._deaf_since = None
            return False
        self._deaf_since = self._deaf_since or chunk.monotonic
        is_choice = self._device == "auto" and not usb_microphones() <= self._plugged_in
        if not is_choice and chunk.monotonic - self._deaf_since <= _REOPEN_DEAF_SECONDS:
            return False
        # Once every microphone was tried, the first one has its turn again.
        self._deaf = [name] if name in self._deaf else [*self._deaf, name]
        return True

    def _records_monitor(self, source: dict[str, Any] | None) -> bool:
        """Return whether a sound server delivers the sound of a loudspeaker in place of a microphone's.

        The monitor of a virtual sink may be the chosen microphone. It is a fault if the stream was moved there.

        Args:
            source: fields of `ServerSource`; None without a sound server.
        """
        if source is None:
            return False
        if source["is_monitor"] and (source["is_hardware"] or self._own_source not in (None, source["name"])):
            return True
        self._own_source = source["name"]
        return False
