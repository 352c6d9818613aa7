"""Chunk queue: bounded queue of a pipe's bytes, between the thread that reads and the one that classifies."""

import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from device.util.clock import CLOCK

_READ_BYTES = 1 << 15
_STOP_SECONDS = 0.5
"""Longest time until a wait without sound notices `stop`, s. It is longer than the time between two chunks, so that a
thread wakes once for each of them."""
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
        after_loss: whether the driver reports that sound was lost right before them.
    """

    data: bytes
    offset: int
    time: float
    monotonic: float
    after_loss: bool = False


def read_raw(pipe: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the reads of an unbuffered pipe of raw samples, for `ChunkQueue.fill`, until it ends."""
    while (data := pipe.read(_READ_BYTES)) != b"":
        if data is None:  # another program that shares the pipe made it non-blocking
            select.select([pipe], [], [])
        else:
            yield data, False


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

    def fill(self, reads: Iterable[tuple[bytes, bool]]) -> None:
        """Copy reads until they end, or fail.

        Args:
            reads: bytes of each read, as it arrives, and whether sound was lost right before them.
        """
        offset = 0
        try:
            for data, after_loss in reads:
                self._append(Chunk(data, offset, CLOCK.now(), time.monotonic(), after_loss))
                offset += len(data)
        finally:
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
            while not self._chunks and not self.ended and not stop.is_set():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _STOP_SECONDS))  # `stop` does not notify this condition
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
