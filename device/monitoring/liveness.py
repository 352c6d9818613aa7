"""Liveness of the data path: when the last item arrived from a source, and how much audio was lost."""

import time

from device.types import BLOCK_SECONDS, Blocks, SourceLost


class Liveness:
    """Time of the last item, to detect stalls, and lost audio. Any thread may read it.

    Capture, gate, network and events share a thread, so an item that follows the last one shows that all of them
    continue. A `Liveness` outlives its sources: audio lost between two of them is counted as well.

    Attributes:
        lost_seconds: audio lost since the start, s.
    """

    def __init__(self) -> None:
        self._last_item = time.monotonic()
        self._last_block: float | None = None
        self._lost_before = 0.0
        self._is_first_block = True
        self.lost_seconds = 0.0

    def open_source(self) -> None:
        """Begin with a new source; its count of lost audio starts at 0."""
        self._last_item = time.monotonic()
        self._lost_before = self.lost_seconds
        self._is_first_block = True

    def record(self, item: Blocks | SourceLost, lost_seconds: float) -> None:
        """Record an item of the source.

        Args:
            item: it arrived just now.
            lost_seconds: audio lost by this source so far, s.
        """
        self._last_item = now = time.monotonic()
        if isinstance(item, Blocks):
            if self._is_first_block and self._last_block is not None:
                self._lost_before += max(0.0, now - self._last_block - BLOCK_SECONDS)
            self._is_first_block, self._last_block = False, now
        self.lost_seconds = self._lost_before + lost_seconds

    def expect_nothing(self) -> None:
        """Stop expecting items: a recording is over."""
        self._last_item = float("inf")

    def silent_seconds(self) -> float:
        """Return the seconds since the last item; below 0 if none is expected."""
        return time.monotonic() - self._last_item
