"""Chunk queue: bounded hand-over of a pipe's bytes between two threads."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import IO

from device.util.clock import CLOCK

_READ_BYTES = 1 << 15
_DEFAULT_BYTES = 1 << 20
"""Bound until the rate and channels of the sound are known."""


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
        self.maximum_bytes = _DEFAULT_BYTES
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
