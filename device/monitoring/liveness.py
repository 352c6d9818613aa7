"""The pulse of listening: when something last came from the source, and how much sound was lost. For any thread."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from device.types import BLOCK_SECONDS, Block, SourceLost


class LossySource(Protocol):
    """What sources have in common: an item every few seconds, a block or the word that there is none."""

    lost_samples: int

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield the items."""


class Pulse:
    """Feels that each item is followed by a next one: then capture, gate, network and events all go on.

    They share a thread, so whatever hangs in one of them is felt here. It outlives the sources: what is lost between
    two of them is counted, too.

    Attributes:
        lost_seconds: sound that was lost since the start.
    """

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._heard_at: float | None = None
        self.lost_seconds = 0.0

    def through(
        self, source: LossySource, sample_rate: int, on_first: Callable[[], None]
    ) -> Iterator[Block | SourceLost]:
        """Pass on what a source yields.

        Args:
            source: read to its end.
            sample_rate: Hz, of its blocks.
            on_first: called with the first item, which says that there is sound, or why there is none.
        """
        self._beat = time.monotonic()
        lost_before = self.lost_seconds
        first_item, first_block = True, True
        for item in source:
            self._beat = now = time.monotonic()
            if isinstance(item, Block):
                if first_block and self._heard_at is not None:
                    lost_before += max(0.0, now - self._heard_at - BLOCK_SECONDS)
                first_block, self._heard_at = False, now
            self.lost_seconds = lost_before + source.lost_samples / sample_rate
            if first_item:
                first_item = False
                on_first()
            yield item

    def rest(self) -> None:
        """Nothing more is due: a recording is over."""
        self._beat = float("inf")

    def silent_seconds(self) -> float:
        """How long ago the last item came, s; below 0 where none is due."""
        return time.monotonic() - self._beat
