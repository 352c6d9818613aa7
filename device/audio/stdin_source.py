"""Standard input source: sound from another program, such as `ffmpeg` with the sound of a camera."""

import dataclasses
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk, ChunkQueue, read_raw
from device.audio.encoding_check import EncodingCheck
from device.audio.live_source import LiveSource
from device.audio.pipe_format import PipeFormat, recognize
from device.audio.signal_diagnosis import SignalDiagnosis
from device.audio.source_state import PROBLEM_TEXTS, STALLED_SECONDS, SourceState
from device.errors import InputError, UnavailableError
from device.types import Blocks, SourceLost
from device.util.clock import CLOCK
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_CURES: dict[SourceState, str] = {
    "stalled": "Check the program that feeds it",
    "silent": "Check the program that feeds it",
    "dc": "It must be s16le, mono (ffmpeg: -f s16le -ac 1)",
    "clipping": "Turn its volume down, and check that it is s16le, mono",
    "wrong_rate": "Set --input-rate to the rate of its sound",
}


def describe_state(state: SourceState) -> str:
    """Describe the state of standard input for a person: the fault and the cure."""
    return "standard input " + (f"{PROBLEM_TEXTS[state]}. {_CURES[state]}" if state in _CURES else "delivers sound")


class StdinSource(LiveSource):
    """Source of blocks from standard input until it ends: int16 samples, mono, little-endian, or WAV of 16 bits.

    A live input is like a microphone: times are those of the wall clock, and the other program never waits. Sound that
    the classifier is too slow for is dropped and counted. Otherwise the input is a recording: its clock starts when the
    source is opened and advances with the sound, and nothing is dropped.

    Args:
        rate: sample rate of raw samples, Hz. A WAV header has its own.
        sample_rate: sample rate of the blocks, Hz.
        live: whether the input is live rather than a recording.
        queue_seconds: sound that may wait for the reader, s.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.
    """

    def __init__(
        self,
        rate: int,
        sample_rate: int,
        *,
        live: bool,
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] | None = None,
    ) -> None:
        super().__init__(sample_rate, stop, on_state)
        self._rate, self._live, self._queue_seconds = rate, live, queue_seconds
        self._chunks = ChunkQueue(drops=live)
        self._chunks.maximum_bytes = round(queue_seconds * 2 * rate)
        self._channels = 1
        self._started = 0.0
        self._fault: OSError | None = None

    def __str__(self) -> str:
        return f"standard input at {self._rate} Hz"

    def __enter__(self) -> Self:
        """Start the thread that reads.

        Raises:
            InputError: standard input is closed, or a terminal.
        """
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(
                "--input -: nothing feeds standard input. Pipe s16le, mono, into it (ffmpeg: -f s16le -ac 1 -)"
            )
        self._started = CLOCK.now()
        SupervisedThread("standard input", self._read, finite=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the thread that reads ends with the input or the process."""

    def __iter__(self) -> Iterator[Blocks | SourceLost]:
        """Yield blocks, the last one padded with zeros, and a `SourceLost` after each STALLED_SECONDS without sound.

        Raises:
            InputError: the input is in a format that cannot be read.
            UnavailableError: the input ended without any sound, or cannot be read.
        """
        stream: BlockStream | None = None
        for chunk in self._sound():
            if chunk is None:
                self._report_state("stalled", describe_state("stalled"))
                yield SourceLost(self._position)
                continue
            if stream is None:
                stream = BlockStream(self._rate, self._channels, self._sample_rate, 0, live=self._live)
                diagnosis = SignalDiagnosis(self._rate)
            yield from map(self._prepare, self._blocks(stream, chunk))
            self._diagnose(diagnosis, stream, chunk)
        if self._stop.is_set():
            return
        if stream is not None:
            yield from map(self._prepare, self._placed(stream.flush()))
        if self._fault is not None:
            raise UnavailableError(f"--input -: standard input cannot be read ({self._fault}). Pipe sound into it")
        if self._position == 0:
            raise UnavailableError("--input -: standard input ended before any sound. Check the program that feeds it")

    def _sound(self) -> Iterator[Chunk | None]:
        """Yield the samples without a header, and None after each STALLED_SECONDS without any.

        Raises:
            InputError: the input is in a format that cannot be read.
        """
        head, head_offset, found, encoding_check = b"", 0, None, EncodingCheck()
        for chunk in self._arrivals():
            if chunk is None:
                yield None
                continue
            if found is None:
                head_offset = head_offset if head else chunk.offset  # above 0 if the first chunk was dropped
                head += chunk.data
                found = recognize(head, self._rate)
                if found is None:
                    continue
                self._use(found)
                whole = dataclasses.replace(chunk, data=head, offset=head_offset)
            else:
                whole = chunk
            samples = _without_header(whole, found)
            if found.start == 0:
                encoding_check.feed(samples.data)
            if samples.data:
                yield samples

    def _arrivals(self) -> Iterator[Chunk | None]:
        """Yield the bytes as they arrive, and None after each STALLED_SECONDS without any."""
        while (chunk := self._chunks.read(STALLED_SECONDS, self._stop)) or not self._is_over():
            yield chunk

    def _is_over(self) -> bool:
        return self._chunks.ended or self._stop.is_set()

    def _use(self, found: PipeFormat) -> None:
        """Use the rate and the channels of the input."""
        if found.start:
            _LOGGER.info("standard input is WAV at %d Hz, %d channels", found.rate, found.channels)
        self._rate, self._channels = found.rate, found.channels
        self._chunks.maximum_bytes = round(self._queue_seconds * 2 * found.channels * found.rate)

    def _prepare(self, block: Blocks) -> Blocks:
        """Set the time of a block in a recording."""
        if self._live:
            return block
        return dataclasses.replace(block, time=self._started + block.position / self._sample_rate)

    def _diagnose(self, diagnosis: SignalDiagnosis, stream: BlockStream, chunk: Chunk) -> None:
        # The rate of a recording is not that of the clock, so its own time is used.
        arrival = chunk.monotonic if self._live else self._position / self._sample_rate
        diagnosis.feed(stream.channel_samples, stream.mono, arrival)
        self._report_state(diagnosis.state, describe_state(diagnosis.state))

    def _read(self) -> None:
        self._chunks.fill(self._reads())

    def _reads(self) -> Iterator[tuple[bytes, bool]]:
        try:
            # Unbuffered: a buffered read waits until its buffer is full, and the interpreter cannot end meanwhile.
            with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
                yield from read_raw(pipe)
        except OSError as error:  # a folder, or a terminal that is gone
            self._fault = error


def _without_header(chunk: Chunk, found: PipeFormat) -> Chunk:
    """Return the samples of a chunk: without the header, and without what follows the samples."""
    skipped = max(found.start - chunk.offset, 0)
    offset = chunk.offset + skipped - found.start
    data = chunk.data[skipped:]
    return dataclasses.replace(
        chunk, data=data if found.length is None else data[: max(found.length - offset, 0)], offset=offset
    )
