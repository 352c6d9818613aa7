"""From the bytes of a pipe to blocks: a bounded queue between two threads, and positions that stay true."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from device.audio.resampling import Blocker, Resampler
from device.model.features import FULL_SCALE
from device.types import Block
from device.util.clock import CLOCK

_READ_BYTES = 1 << 15
_UNTOLD_BYTES = 1 << 20
"""How much may wait before anyone has said how much."""


@dataclass(frozen=True)
class Chunk:
    """What one read brought: bytes, the number of its first byte, and when it came (Unix and monotonic seconds)."""

    data: bytes
    offset: int
    time: float
    monotonic: float


class ChunkQueue:
    """Sound that waits between the thread that reads a pipe and the one that classifies. Bounded.

    Args:
        drops: what happens when it is full: the oldest sound is dropped (the offsets of the chunks tell how much),
            or who fills it waits.
    """

    def __init__(self, *, drops: bool = True) -> None:
        self._drops = drops
        self._chunks: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self.maximum_bytes = _UNTOLD_BYTES
        self.ended = False

    def fill(self, pipe: IO[bytes]) -> None:
        """Copy from a pipe, unbuffered, until it ends."""
        offset = 0
        while data := pipe.read(_READ_BYTES):
            self._put(Chunk(data, offset, CLOCK.now(), time.monotonic()))
            offset += len(data)
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def read(self, timeout: float, stop: threading.Event) -> Chunk | None:
        """The oldest chunk; None when the pipe `ended`, nothing came in so many seconds, or `stop` is set."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._chunks and not self.ended and time.monotonic() < deadline and not stop.is_set():
                self._changed.wait(0.1)  # `stop` wakes nobody
            if not self._chunks or stop.is_set():
                return None
            self._changed.notify_all()
            return self._take()

    def _put(self, chunk: Chunk) -> None:
        with self._changed:
            while self._chunks and self._waiting_bytes + len(chunk.data) > self.maximum_bytes:
                if self._drops:
                    self._take()
                else:
                    self._changed.wait()
            self._chunks.append(chunk)
            self._waiting_bytes += len(chunk.data)
            self._changed.notify_all()

    def _take(self) -> Chunk:
        chunk = self._chunks.popleft()
        self._waiting_bytes -= len(chunk.data)
        return chunk


class BlockStream:
    """From the bytes of one capture to blocks, with their positions and times.

    Args:
        rate: Hz, of the capture.
        channels: of the capture.
        sample_rate: Hz, of the blocks.
        position: of the first block.
    """

    def __init__(self, rate: int, channels: int, sample_rate: int, position: int) -> None:
        self._rate, self._channels, self._sample_rate = rate, channels, sample_rate
        self._start = self._position = position
        self._rest = b""
        self._expected = 0
        self._renew()

    def _renew(self) -> None:
        self._resampler, self._blocker = Resampler(self._rate, self._sample_rate), Blocker(self._sample_rate)

    def feed(self, chunk: Chunk) -> Iterator[Block]:
        """Take the next chunk; its frames, shape (n, channels), int16, are in `frames` afterwards."""
        frame_bytes = 2 * self._channels
        if chunk.offset != self._expected:  # the queue overflowed: go on where the sound goes on
            self._renew()
            skipped = -chunk.offset % frame_bytes
            self._rest, data = b"", chunk.data[skipped:]
            first_frame = (chunk.offset + skipped) // frame_bytes
            self._position = max(self._position, self._start + first_frame * self._sample_rate // self._rate)
        else:
            data = self._rest + chunk.data
        self._expected = chunk.offset + len(chunk.data)
        whole = len(data) // frame_bytes * frame_bytes
        self._rest = data[whole:]
        self.frames = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
        blocks = self._blocker.feed(self._resampler.feed(self.frames.astype(np.float32) / np.float32(FULL_SCALE)))
        for number, samples in enumerate(blocks):
            age = (len(blocks) - number) * len(samples) / self._sample_rate
            yield Block(samples, self._position, chunk.time - age)
            self._position += len(samples)

    def flush(self, ended: float) -> Iterator[Block]:
        """Give what is left when the sound ends, filled up with zeros to a block; it ended at that Unix time."""
        for samples in self._blocker.feed(self._resampler.flush()) + self._blocker.flush():
            yield Block(samples, self._position, ended)
            self._position += len(samples)
