"""How hard the machine has it: while it is hot or cannot keep up, windows lie further apart and probes are rarer.

That costs overlap, so events may start and end a little late. The alternative is to lose sound.
"""

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from device.model.features import LogMel
from device.types import BLOCK_SECONDS, Block, Probabilities, SourceLost
from device.util.clock import CLOCK

_LOGGER = logging.getLogger(__name__)

Reason = Literal["none", "slow", "behind", "hot"]

_PERIOD_SECONDS = 2.0
"""From one judgement to the next: as long as the bursts in which sound servers deliver."""
_BUSY_SHARE = 0.7
"""Share of the time that the network may take while something sounds."""
_TIMED_WINDOWS, _FEWEST_WINDOWS = 5, 3
"""Windows that the time of one is taken over; before there are so many, it is not known."""
_BEHIND_SHARE = 0.3
"""Share of the queue that may wait before it counts as falling behind."""
_HOT_FACTOR = 2.0
_EASE_SECONDS = 60.0
"""The factor falls by one in so long, so that a machine which has just recovered is not worn out again at once."""
_SAID: dict[Reason, str] = {
    "none": "keeps up again: windows and probes are as config.yaml has them",
    "slow": "the network is slower than window.hop_seconds: windows lie further apart. See `earshot check`",
    "behind": "sound waits to be looked at: windows lie further apart. Close what else keeps this machine busy",
    "hot": "this machine is hot or short of power: windows lie further apart. See `earshot check`",
}


@dataclass(frozen=True)
class Stretch:
    """How far windows and probes lie apart, as a multiple of config.yaml's, at least 1; and why."""

    factor: float = 1.0
    reason: Reason = "none"


class Load:
    """Judges every two seconds how far windows and probes must be stretched. Used from the pipeline's thread.

    Args:
        limit: the largest factor; 1 where there is no clock to keep up with.
        hop_seconds: from one window to the next, unstretched.
        queue_seconds: sound that may wait before the oldest is lost.
        is_hot: whether the machine is to be spared.
        changed: called when the reason is another one.
        now: Unix seconds, on the clock of the blocks.
        steady: seconds that only go on.
    """

    def __init__(
        self,
        *,
        limit: float,
        hop_seconds: float,
        queue_seconds: float,
        is_hot: Callable[[], bool],
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], float] = CLOCK.now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._hop_seconds = hop_seconds
        self._queue_seconds = queue_seconds
        self._is_hot = is_hot
        self._changed = changed
        self._now = now
        self._steady = steady
        self._judged_at = steady()
        self._usual_delay = self._waited = float("inf")
        self._windows: deque[float] = deque(maxlen=_TIMED_WINDOWS)
        self.stretch = Stretch()

    def factor(self) -> float:
        """By how much to stretch now."""
        return self.stretch.factor

    def through(self, source: Iterable[Block | SourceLost]) -> Iterator[Block | SourceLost]:
        """Pass on what a source yields, and see how long it waited for us."""
        for item in source:
            if isinstance(item, Block):
                delay = self._now() - item.time - BLOCK_SECONDS
                self._usual_delay = min(self._usual_delay, delay)  # a recording's clock starts before it plays
                self._waited = min(self._waited, delay - self._usual_delay)
                elapsed = self._steady() - self._judged_at
                if elapsed >= _PERIOD_SECONDS:
                    self._judge(elapsed)
            yield item

    def timed(self, classify: Callable[[LogMel], Probabilities]) -> Callable[[LogMel], Probabilities]:
        """The same classifier, seen for how long it takes."""

        def timed(log_mel: LogMel) -> Probabilities:
            started = self._steady()
            scores = classify(log_mel)
            self._windows.append(self._steady() - started)
            return scores

        return timed

    def _judge(self, elapsed: float) -> None:
        """Stretch at once as far as it takes; go back slowly."""
        needed, reason = self._needed()
        eased = self.stretch.factor - elapsed / _EASE_SECONDS
        if needed < eased:
            needed, reason = eased, self.stretch.reason
        stretch = Stretch(min(needed, self._limit), reason) if min(needed, self._limit) > 1 else Stretch()
        if stretch.reason != self.stretch.reason:
            _LOGGER.log(logging.INFO if stretch.reason == "none" else logging.WARNING, "%s", _SAID[stretch.reason])
            self._changed()
        self.stretch = stretch
        self._judged_at, self._waited = self._steady(), float("inf")

    def _needed(self) -> tuple[float, Reason]:
        reasons: list[tuple[float, Reason]] = [(1.0, "none")]
        if len(self._windows) >= _FEWEST_WINDOWS:
            reasons.append((statistics.median(self._windows) / (_BUSY_SHARE * self._hop_seconds), "slow"))
        # The shortest wait of the period: a burst waits for a moment, too, but only its first blocks.
        reasons.append((self._waited / (_BEHIND_SHARE * self._queue_seconds), "behind"))
        if self._is_hot():
            reasons.append((_HOT_FACTOR, "hot"))
        return max(reasons)
