"""Standard input source: raw PCM from another program, such as `ffmpeg` with the sound of a camera."""

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk, ChunkQueue
from device.audio.live_source import STALLED_SECONDS, LiveSource
from device.audio.signal_diagnosis import PROBLEM_TEXTS, SignalDiagnosis, SourceState
from device.errors import InputError, UnavailableError
from device.types import Block, SourceLost
from device.util.clock import CLOCK

_CURES: dict[SourceState, str] = {
    "stalled": "Check the program that feeds it",
    "silent": "Check the program that feeds it",
    "dc": "It must be s16le, mono (ffmpeg: -f s16le -ac 1)",
    "clipping": "Turn its volume down, and check that it is s16le, mono",
    "wrong_rate": "Set --input-rate to the rate of its sound",
}


def describe_state(state: SourceState) -> str:
    """Describe the state of standard input for a person: the fault and the cure."""
    return "standard input " + (
        f"{PROBLEM_TEXTS[state]}. {_CURES[state]}" if state in PROBLEM_TEXTS else "delivers sound"
    )


class StdinSource(LiveSource):
    """Source of blocks from standard input: int16 samples, mono, little-endian, until it ends.

    A live input is like a microphone: times are those of the wall clock, and the other program never waits. Sound that
    the classifier is too slow for is dropped and counted. Otherwise the input is a recording: its clock starts when the
    source is opened and advances with the sound, and nothing is dropped.

    Args:
        rate: sample rate of the input, Hz.
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
        self._rate, self._live = rate, live
        self._chunks = ChunkQueue(drops=live)
        self._chunks.maximum_bytes = round(queue_seconds * 2 * rate)
        self._started = 0.0

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
        threading.Thread(target=self._read, name="standard input", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the thread that reads ends with the input or the process."""

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield blocks, the last one padded with zeros, and a `SourceLost` after each STALLED_SECONDS without sound.

        Raises:
            UnavailableError: the input ended without any sound.
        """
        stream = BlockStream(self._rate, 1, self._sample_rate, 0)
        diagnosis = SignalDiagnosis(self._rate)
        while (chunk := self._chunks.read(STALLED_SECONDS, self._stop)) or not self._is_over():
            if chunk is None:
                self._report_state("stalled", describe_state("stalled"))
                yield SourceLost(self._position)
            else:
                yield from map(self._prepare, stream.feed(chunk))
                self._diagnose(diagnosis, stream, chunk)
        if not self._stop.is_set():
            yield from map(self._prepare, stream.flush(CLOCK.now()))
            if self._position == 0:
                raise UnavailableError(
                    "--input -: standard input ended before any sound. Check the program that feeds it"
                )

    def _is_over(self) -> bool:
        return self._chunks.ended or self._stop.is_set()

    def _prepare(self, block: Block) -> Block:
        """Count the lost samples before a block, and set its time in a recording."""
        self._count_lost(block)
        if self._live:
            return block
        return dataclasses.replace(block, time=self._started + block.position / self._sample_rate)

    def _diagnose(self, diagnosis: SignalDiagnosis, stream: BlockStream, chunk: Chunk) -> None:
        if len(stream.channel_samples):  # a chunk may contain half a sample
            # The rate of a recording is not that of the clock, so its own time is used.
            diagnosis.feed(
                stream.channel_samples, chunk.monotonic if self._live else self._position / self._sample_rate
            )
        self._report_state(diagnosis.state, describe_state(diagnosis.state))

    def _read(self) -> None:
        # Unbuffered, because a buffered read waits until its buffer is full, and the interpreter cannot end meanwhile.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
            self._chunks.fill(pipe)
