"""Captured source: blocks from a capture process, which is started again after any fault."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from device.audio.block_stream import BlockStream
from device.audio.capture_kind import Capture
from device.audio.capture_process import CaptureProcess
from device.audio.chunk_queue import Chunk
from device.audio.live_source import LiveSource
from device.audio.signal_diagnosis import SignalDiagnosis
from device.audio.source_state import SourceState
from device.types import Blocks, SourceLost

_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to open the source, s. The last one is repeated without end."""
_LOST_SECONDS = 1.0
"""Time between two `SourceLost` items while there is no sound, s."""
_QUIET_READS = 2
"""Reads that the capture process sends together while no sound is waited for."""
LONG_READ_SECONDS = 0.24
"""Length of these reads together, s."""


class CapturedSource(LiveSource):
    """Base class of the sources with a capture process. They have no end: after any fault, they are opened again.

    Lost samples are counted, and the positions of the blocks jump by their number.

    Args:
        capture: the program, and the source that it reads.
        sample_rate: sample rate of the blocks, Hz.
        queue_seconds: sound that may wait for the reader, s.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.
        running: capture process that has started already; the iteration reads and ends it.
    """

    def __init__(
        self,
        capture: Capture,
        sample_rate: int,
        *,
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] | None,
        running: CaptureProcess | None = None,
    ) -> None:
        super().__init__(sample_rate, stop, on_state)
        self._capture, self._command = capture, capture.command
        self._kind, self._channels = capture.kind, capture.channels
        self._queue_seconds = queue_seconds
        self._last_block_seconds = 0.0
        self._diagnoses: dict[tuple[str, int], SignalDiagnosis] = {}
        self._running = running
        self._is_quiet = False

    def __exit__(self, *_: object) -> None:
        """Do nothing: iteration ends the capture process."""

    def set_quiet(self, quiet: bool) -> None:
        """Set whether no sound is waited for: blocks then arrive twice as many at a time, and threads wake less often.

        Used from the thread of the iteration. A stream ignores it.
        """
        if quiet != self._is_quiet:
            self._is_quiet = quiet
            self._set_reads()

    def _set_reads(self) -> None:
        if self._running is not None:
            self._running.set_reads_per_packet(_QUIET_READS if self._is_quiet else 1)

    def __iter__(self) -> Iterator[Blocks | SourceLost]:
        """Yield blocks until `stop` is set, and a `SourceLost` about every second while there is no sound."""
        failures, running = 0, self._running
        while not self._stop.is_set():
            command = self._next_command()
            with running or CaptureProcess(replace(self._capture, command=command), self._queue_seconds) as capture:
                header = capture.header(self._stop)
                if self._stop.is_set():
                    return
                if "state" in header:
                    self._report_state(header["state"], header["message"])
                else:
                    self._running = capture
                    self._set_reads()
                    opened = time.monotonic()
                    yield from self._read_blocks(capture, header)
                    if self._last_block_seconds - opened >= self._kind.steady_seconds:
                        failures = 0
            running = self._running = None
            yield from self._pause(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _next_command(self) -> Sequence[str]:
        """Return the command of the next capture process."""
        return self._command

    def _begin(self) -> None:
        """Prepare for a capture that has just been opened."""

    def _state(self, diagnosed: SourceState, _capture: CaptureProcess) -> SourceState:
        """Return the state of the source; the samples alone have the diagnosed one."""
        return diagnosed

    def _must_reopen(self, _state: SourceState, _name: str, _chunk: Chunk) -> bool:
        """Return whether to end this capture although it delivers."""
        return False

    def _read_blocks(self, capture: CaptureProcess, header: dict[str, Any]) -> Iterator[Blocks]:
        """Yield the blocks of one capture process, until it ends, stalls, or must be opened again."""
        name, rate = header["name"], header["sample_rate"]
        stream: BlockStream | None = None
        # Opening it again changes no diagnosis, so that the state of a silent source does not alternate.
        diagnosis = self._diagnoses.setdefault((name, rate), SignalDiagnosis(rate))
        diagnosis.restart()
        self._begin()
        if diagnosis.state == "ok":
            self._report_state("ok", self._describe_start(header))
        while not self._stop.is_set():
            chunk = capture.read(self._kind.stalled_seconds, self._stop)
            if chunk is None:
                if not self._stop.is_set():
                    self._report_state("stalled", self._kind.describe("stalled", name))
                return
            stream = stream or self._open_stream(header, chunk)
            for block in self._blocks(stream, chunk):
                self._last_block_seconds = chunk.monotonic
                yield block
            diagnosis.feed(stream.channel_samples, stream.mono, chunk.monotonic)
            state = self._state(diagnosis.state, capture)
            self._report_state(state, self._kind.describe(state, name))
            if self._must_reopen(state, name, chunk):
                return

    def _describe_start(self, header: dict[str, Any]) -> str:
        used = f", of which {', '.join(map(str, self._channels))} are used" if self._channels else ""
        text = f"listens to {header['name']!r} at {header['sample_rate']} Hz, {header['channels']} channels{used}"
        if header.get("matches", 1) == 1:
            return text
        return (
            f"{text}. {header['matches']} microphones match audio.device. Set it to {header['identity']} for this one"
        )

    def _pause(self, seconds: float) -> Iterator[SourceLost]:
        """Wait, and yield a `SourceLost` every second, so that a wait differs from a hang."""
        end = time.monotonic() + seconds
        while not self._stop.is_set() and (left := end - time.monotonic()) > 0:
            yield SourceLost(self._position)
            self._stop.wait(min(left, _LOST_SECONDS))

    def _open_stream(self, header: dict[str, Any], first: Chunk) -> BlockStream:
        """Return the converter of a capture. The time from the last block to the sound of its first chunk is a gap."""
        rate, channels = header["sample_rate"], header["channels"]
        position = self._position
        if self._last_block_seconds:
            started = first.monotonic - len(first.data) / (2 * channels * rate)
            position += max(0, round((started - self._last_block_seconds) * self._sample_rate))
        return BlockStream(rate, channels, self._sample_rate, position, selected=self._channels)
