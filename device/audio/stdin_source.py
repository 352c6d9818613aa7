"""Raw PCM on standard input, as a source: so that `ffmpeg` can feed the sound of a camera, or anything else."""

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk, ChunkQueue
from device.audio.live_source import STALLED_SECONDS, LiveSource
from device.audio.signal_diagnosis import PROBLEMS, SignalDiagnosis, SourceState
from device.errors import InputError, UnavailableError
from device.types import Block, SourceLost
from device.util.clock import CLOCK

_CURES: dict[SourceState, str] = {
    "stalled": "Look at the program that feeds it",
    "silent": "Look at the program that feeds it",
    "dc": "It must be s16le, mono (ffmpeg: -f s16le -ac 1)",
    "clipping": "Turn its volume down, and check that it is s16le, mono",
    "wrong_rate": "Set --input-rate to what feeds it",
}


def describe_state(state: SourceState) -> str:
    """What to say to a person: what is wrong with what feeds standard input, and the cure."""
    return "standard input " + (f"{PROBLEMS[state]}. {_CURES[state]}" if state in PROBLEMS else "delivers sound")


class StdinSource(LiveSource):
    """Blocks from int16 samples, mono, little-endian, on standard input, until it ends.

    Live, it is a microphone: the clock is the wall's, who feeds it never waits, and what the classifier cannot
    keep up with is dropped and counted. Otherwise it is a recording: the clock starts when the source is opened
    and goes with the sound, and nothing is dropped.

    Args:
        rate: Hz, of the input.
        sample_rate: Hz, of the blocks.
        live: whether it is a microphone rather than a recording.
        queue_seconds: sound that may wait for the reader.
        stop: when set, the source ends.
        on_state: told of each change: the state, and a line for a person.
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
        """Start to read.

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
        """The thread that reads ends with the input, or with the process."""

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield blocks, the last one filled up with zeros, and a `SourceLost` wherever nothing came for seconds.

        Raises:
            UnavailableError: the input ended before there was any sound.
        """
        stream = BlockStream(self._rate, 1, self._sample_rate, 0)
        diagnosis = SignalDiagnosis(self._rate)
        while (chunk := self._chunks.read(STALLED_SECONDS, self._stop)) or not self._over():
            if chunk is None:
                self._tell("stalled", describe_state("stalled"))
                yield SourceLost(self._position)
            else:
                yield from map(self._placed, stream.feed(chunk))
                self._diagnose(diagnosis, stream, chunk)
        if not self._stop.is_set():
            yield from map(self._placed, stream.flush(CLOCK.now()))
            if self._position == 0:
                raise UnavailableError("--input -: standard input ended before any sound came. See what should feed it")

    def _over(self) -> bool:
        return self._chunks.ended or self._stop.is_set()

    def _placed(self, block: Block) -> Block:
        """The block, its loss counted; at its time in the recording if it is one."""
        self._take(block)
        if self._live:
            return block
        return dataclasses.replace(block, time=self._started + block.position / self._sample_rate)

    def _diagnose(self, diagnosis: SignalDiagnosis, stream: BlockStream, chunk: Chunk) -> None:
        if len(stream.frames):  # a chunk may hold half a sample
            # A recording has no pace but its own.
            diagnosis.feed(stream.frames, chunk.monotonic if self._live else self._position / self._sample_rate)
        self._tell(diagnosis.state, describe_state(diagnosis.state))

    def _read(self) -> None:
        # Unbuffered: a buffer would wait until it is full, and the interpreter could not end while it waits.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
            self._chunks.fill(pipe)
