"""Chunk queue: bounded queue of a pipe's bytes, between the thread that reads and the one that classifies."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import IO

from device.util.clock import CLOCK

_READ_BYTES = 1 << 15
_DEFAULT_BYTES = 1 << 20
"""Bound of the queue until rate and channels of the sound are known, bytes."""


@dataclass(frozen=True)
class Chunk:
    """Bytes of one read.

    Attributes:
        data: the bytes.
        offset: number of the first byte since the pipe was opened.
        time: when they arrived, Unix seconds.
        monotonic: when they arrived, monotonic seconds.
    """

    data: bytes
    offset: int
    time: float
    monotonic: float


class ChunkQueue:
    """Bounded queue of chunks between two threads.

    Args:
        drops: whether a full queue drops its oldest chunk; the offsets of the chunks show the loss. Otherwise `fill`
            waits.

    Attributes:
        maximum_bytes: bound of the queue, bytes.
        ended: whether the pipe has ended.
    """

    def __init__(self, *, drops: bool = True) -> None:
        self._drops = drops
        self._chunks: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self.maximum_bytes = _DEFAULT_BYTES
        self.ended = False

    def fill(self, pipe: IO[bytes]) -> None:
        """Copy from an unbuffered pipe until it ends."""
        offset = 0
        while data := pipe.read(_READ_BYTES):
            self._append(Chunk(data, offset, CLOCK.now(), time.monotonic()))
            offset += len(data)
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def read(self, timeout: float, stop: threading.Event) -> Chunk | None:
        """Return the oldest chunk, or None.

        Args:
            timeout: longest wait for a chunk, s.
            stop: when set, None is returned.

        Returns:
            None if the pipe has ended, nothing arrives within `timeout`, or `stop` is set.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._chunks and not self.ended and time.monotonic() < deadline and not stop.is_set():
                self._changed.wait(0.1)  # `stop` does not notify this condition
            if not self._chunks or stop.is_set():
                return None
            self._changed.notify_all()
            return self._pop()

    def _append(self, chunk: Chunk) -> None:
        with self._changed:
            while self._chunks and self._waiting_bytes + len(chunk.data) > self.maximum_bytes:
                if self._drops:
                    self._pop()
                else:
                    self._changed.wait()
            self._chunks.append(chunk)
            self._waiting_bytes += len(chunk.data)
            self._changed.notify_all()

    def _pop(self) -> Chunk:
        chunk = self._chunks.popleft()
        self._waiting_bytes -= len(chunk.data)
        return chunk
