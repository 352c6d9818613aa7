"""Microphone source: blocks from the microphone, which is opened again after any fault."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from device.audio.block_stream import BlockStream
from device.audio.capture_process import CaptureProcess, capture_command
from device.audio.devices import require_pyaudio, usb_microphones
from device.audio.live_source import STALLED_SECONDS, LiveSource
from device.audio.signal_diagnosis import DEAF_STATES, PROBLEM_TEXTS, SignalDiagnosis, SourceState
from device.types import Block, SourceLost

_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to open the microphone, s. The last one is repeated without end."""
_LOST_SECONDS = 1.0
"""Time between two `SourceLost` items while there is no sound, s."""
_REOPEN_DEAF_SECONDS = 120.0
"""Time without sound of the room after which the microphone is opened again, s."""
_QUIET_READS = 2
"""Reads that the capture process sends together while nothing sounds: 0.24 s."""
_CURES: dict[SourceState, str] = {
    "stalled": "Plug it in again if it does not come back by itself",
    "silent": "Is it muted, or has it a noise gate? Check its switch and alsamixer",
    "dc": "Replace its cable, or the microphone",
    "clipping": "Turn its gain down in alsamixer",
    "wrong_rate": "Try another USB port or a powered hub",
    "monitor": "Choose the microphone in pavucontrol, under Recording",
}


def describe_state(state: SourceState, name: str) -> str:
    """Describe the state of an open microphone for a person: the fault and the cure."""
    return f"microphone {name!r} " + (f"{PROBLEM_TEXTS[state]}. {_CURES[state]}" if state in PROBLEM_TEXTS else "works")


class MicrophoneSource(LiveSource):
    """Source of blocks from a microphone, without end. A missing, busy or stalled microphone is opened again.

    Lost samples are counted, and the positions of the blocks jump by their number. A microphone without sound of the
    room is opened again from time to time. `auto` then takes another one if there is one, and at once if it has been
    plugged in since.

    Args:
        device: "auto", "usb:VENDOR:PRODUCT", the same with "@PORT", or a part of the microphone's name.
        sample_rate: sample rate of the blocks, Hz.
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
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] | None = None,
        capture: CaptureProcess | None = None,
    ) -> None:
        super().__init__(sample_rate, stop, on_state)
        self._device = device
        self._command = capture_command(device)
        self._queue_seconds = queue_seconds
        self._last_block_seconds = 0.0
        self._deaf: list[str] = []
        self._diagnoses: dict[tuple[str, int], SignalDiagnosis] = {}
        self._own_source: str | None = None
        self._capture = capture
        self._is_quiet = False

    def __str__(self) -> str:
        return f"microphone {self._device!r}"

    def __enter__(self) -> Self:
        """Check the installation. Iteration opens the microphone, because it may be plugged in later.

        Raises:
            UnavailableError: PyAudio is not installed, so no microphone can be opened.
        """
        require_pyaudio()
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: iteration closes the microphone."""

    def set_quiet(self, quiet: bool) -> None:
        """Set whether nothing sounds: blocks then arrive twice as many at a time, so that all threads wake less often.

        Used from the thread of the iteration.
        """
        if quiet != self._is_quiet:
            self._is_quiet = quiet
            self._set_reads()

    def _set_reads(self) -> None:
        if self._capture is not None:
            self._capture.set_reads_per_packet(_QUIET_READS if self._is_quiet else 1)

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield blocks until `stop` is set, and a `SourceLost` about every second while there is no sound."""
        failures, capture = 0, self._capture
        while not self._stop.is_set():
            with capture or CaptureProcess([*self._command, *self._deaf], self._queue_seconds) as capture:
                header = capture.header()
                if "state" in header:
                    self._report_state(header["state"], header["message"])
                else:
                    failures = 0
                    self._capture = capture
                    self._set_reads()
                    yield from self._read_blocks(capture, header)
            capture = self._capture = None
            yield from self._pause(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _read_blocks(self, capture: CaptureProcess, header: dict[str, Any]) -> Iterator[Block]:
        """Yield the blocks of one capture process, until it ends, stalls, or delivers no sound for too long."""
        name, rate, channels = header["name"], header["sample_rate"], header["channels"]
        stream = BlockStream(rate, channels, self._sample_rate, self._resume_position())
        # Opening it again changes no diagnosis, so that the state of a silent microphone does not alternate.
        diagnosis = self._diagnoses.setdefault((name, rate), SignalDiagnosis(rate))
        diagnosis.restart()
        plugged_in = usb_microphones()
        deaf_since: float | None = None
        if diagnosis.state == "ok":
            self._report_state("ok", _describe_start(header))
        while not self._stop.is_set():
            chunk = capture.read(STALLED_SECONDS, self._stop)
            if chunk is None:
                if not self._stop.is_set():
                    self._report_state("stalled", describe_state("stalled", name))
                return
            for block in self._blocks(stream, chunk):
                self._last_block_seconds = chunk.monotonic
                yield block
            diagnosis.feed(stream.channel_samples, chunk.monotonic)
            state = "monitor" if self._records_monitor(capture.server_source) else diagnosis.state
            self._report_state(state, describe_state(state, name))
            if state == "ok" and name in self._deaf:
                self._deaf.remove(name)
            deaf_since = (deaf_since or chunk.monotonic) if state in DEAF_STATES else None
            if deaf_since is not None and self._must_reopen(chunk.monotonic - deaf_since, plugged_in):
                # Once every microphone was tried, the first one has its turn again.
                self._deaf = [name] if name in self._deaf else [*self._deaf, name]
                return

    def _must_reopen(self, deaf_seconds: float, plugged_in: set[str]) -> bool:
        """Return whether to open the microphone again, or another one.

        Args:
            deaf_seconds: time without sound of the room, s.
            plugged_in: USB microphones when the current one was opened.
        """
        is_choice = self._device == "auto" and not usb_microphones() <= plugged_in
        return is_choice or deaf_seconds > _REOPEN_DEAF_SECONDS

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


def _describe_start(header: dict[str, Any]) -> str:
    text = f"listens to {header['name']!r} at {header['sample_rate']} Hz, {header['channels']} channels"
    if header.get("matches", 1) == 1:
        return text
    return f"{text}. {header['matches']} microphones match audio.device. Set it to {header['identity']} for this one"
