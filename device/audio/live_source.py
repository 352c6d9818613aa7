"""Base class for live sources: position, lost samples, state."""

import threading
from collections.abc import Callable, Iterator

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk
from device.audio.source_state import SourceState
from device.types import BLOCK_SECONDS, Blocks

_LEAST_STEP_SECONDS = 0.001
"""Least time from one block to the next, s."""


def _ignore_state(_state: SourceState, _message: str) -> None:
    """Do nothing."""


class LiveSource:
    """Base class for live sources, which deliver sound at their own pace.

    Args:
        sample_rate: sample rate of the blocks, Hz.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.

    Attributes:
        state: current state of the source.
        lost_samples: lost samples so far, for any reason, at the sample rate of the blocks.
    """

    def __init__(
        self, sample_rate: int, stop: threading.Event, on_state: Callable[[SourceState, str], None] | None = None
    ) -> None:
        self._sample_rate = sample_rate
        self._stop = stop
        self._on_state = on_state or _ignore_state
        self._position = 0
        self._last_time = float("-inf")
        self._reported_state: SourceState | None = None
        self.state: SourceState = "missing"
        self.lost_samples = 0

    def _blocks(self, stream: BlockStream, chunk: Chunk) -> Iterator[Blocks]:
        """Yield the blocks that the next chunk completes; see `_placed`."""
        unplaced_samples = stream.unplaced_samples
        yield from self._placed(stream.feed(chunk))
        self.lost_samples += stream.unplaced_samples - unplaced_samples

    def _placed(self, blocks: Blocks | None) -> Iterator[Blocks]:
        """Yield blocks with times that only grow, if there are any; count the samples that were lost before them.

        They stay together, unless their times are corrected: then each follows by itself.
        """
        if blocks is None:
            return
        self.lost_samples += blocks.position - self._position
        self._position = blocks.end
        block_length = round(BLOCK_SECONDS * self._sample_rate)
        if blocks.time >= self._last_time + _LEAST_STEP_SECONDS:
            self._last_time = blocks.time + (len(blocks.samples) - block_length) / self._sample_rate
            yield blocks
            return
        for start in range(0, len(blocks.samples), block_length):
            # A clock that turned out to be late is corrected slowly: an event must not end before it starts.
            time = blocks.time + start / self._sample_rate
            self._last_time = max(time, self._last_time + _LEAST_STEP_SECONDS)
            samples = blocks.samples[start : start + block_length]
            yield Blocks(samples, blocks.position + start, self._last_time)

    def _report_state(self, state: SourceState, message: str) -> None:
        """Report the state if it has changed."""
        if state != self._reported_state:
            self.state = self._reported_state = state
            self._on_state(state, message)
