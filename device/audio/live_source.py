"""What the sources have in common whose sound comes when it comes: their place in it, its losses, their state."""

import threading
from collections.abc import Callable

from device.audio.signal_diagnosis import SourceState
from device.types import Block

STALLED_SECONDS = 4.0
"""A stream that delivers nothing for so long is dead: sound servers deliver at least every two seconds."""


def _nobody(_state: SourceState, _message: str) -> None:
    """Is told, and takes no note."""


class LiveSource:
    """The base of a source that is read as it delivers.

    Args:
        sample_rate: Hz, of the blocks.
        stop: when set, the source ends.
        on_state: told of each change: the state, and a line for a person.

    Attributes:
        state: how the source is.
        lost_samples: of the blocks' rate: what was not heard, for whatever reason.
    """

    def __init__(
        self, sample_rate: int, stop: threading.Event, on_state: Callable[[SourceState, str], None] | None = None
    ) -> None:
        self._sample_rate = sample_rate
        self._stop = stop
        self._on_state = on_state or _nobody
        self._position = 0
        self._told: SourceState | None = None
        self.state: SourceState = "missing"
        self.lost_samples = 0

    def _take(self, block: Block) -> None:
        """Count what was lost before a block, and go on from its end."""
        self.lost_samples += block.position - self._position
        self._position = block.end

    def _tell(self, state: SourceState, message: str) -> None:
        """Say what changed, once."""
        if state != self._told:
            self.state = self._told = state
            self._on_state(state, message)
