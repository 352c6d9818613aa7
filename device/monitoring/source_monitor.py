"""Source monitor: the one object between a source and the pipeline."""

from collections.abc import Callable, Iterator
from typing import Protocol

from device.monitoring.liveness import Liveness
from device.monitoring.load_shedding import LoadShedding
from device.types import Blocks, SourceLost


class Source(Protocol):
    """Blocks, and a `SourceLost` every few seconds while there are none.

    Attributes:
        lost_samples: samples lost so far, at the rate of the blocks.
    """

    lost_samples: int

    def __iter__(self) -> Iterator[Blocks | SourceLost]:
        """Yield the items."""


class SourceMonitor:
    """Iterable of a source's items that reports each read to liveness and load shedding, and can be muted.

    Args:
        source: read to its end.
        sample_rate: Hz, of its blocks.
        liveness: receives every item.
        load_shedding: receives the time at which the blocks of each item ended.
        is_listening: whether blocks are passed on. When it turns false, a `SourceLost` follows, and nothing more until
            it is true again.
        on_first_item: called once: the source has delivered, or reported that it cannot.
    """

    def __init__(
        self,
        source: Source,
        sample_rate: int,
        *,
        liveness: Liveness,
        load_shedding: LoadShedding,
        is_listening: Callable[[], bool],
        on_first_item: Callable[[], None],
    ) -> None:
        self._source = source
        self._sample_rate = sample_rate
        self._liveness = liveness
        self._load_shedding = load_shedding
        self._is_listening = is_listening
        self._on_first_item = on_first_item

    def __iter__(self) -> Iterator[Blocks | SourceLost]:
        """Yield the source's items; see the class."""
        self._liveness.open_source()
        is_first, is_muted = True, False
        for item in self._source:
            self._liveness.record(item, self._source.lost_samples / self._sample_rate)
            if isinstance(item, Blocks):
                self._load_shedding.record_sound(item.time + len(item.samples) / self._sample_rate)
            if is_first:
                is_first = False
                self._on_first_item()
            if self._is_listening():
                is_muted = False
                yield item
            elif not is_muted:
                is_muted = True
                yield SourceLost(item.position)
