"""Load shedding: no early looks, wider hops and rarer probes while the device is hot or too slow.

Windows then overlap less, so events may start and end a little late. The alternative is lost audio.
"""

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from device.util.clock import CLOCK

_LOGGER = logging.getLogger(__name__)

Reason = Literal["none", "slow", "behind", "hot"]

_PERIOD_SECONDS = 2.0
"""Time between two decisions: the length of the bursts in which sound servers deliver."""
_BUSY_SHARE = 0.7
"""Largest share of the time that the network may take while something sounds."""
_TIMED_WINDOWS, _FEWEST_WINDOWS = 5, 3
"""Windows over which the inference time is taken, and the fewest that are enough."""
_BEHIND_SHARE = 0.3
"""Share of the queue that may wait before the device counts as behind."""
_HOT_FACTOR = 2.0
_EASE_SECONDS = 60.0
"""Time in which the factor falls by one, so that a device that just recovered is not overloaded at once."""
_MESSAGES: dict[Reason, str] = {
    "none": "keeps up again: windows and probes follow config.yaml",
    "slow": "the network is slower than window.hop_seconds: windows are further apart. See `earshot check`",
    "behind": "audio waits for classification: windows are further apart. Close other programs on this machine",
    "hot": "this machine is hot or short of power: windows are further apart. See `earshot check`",
}


@dataclass(frozen=True)
class Stretch:
    """Factor on the hop and on the pause between probes, at least 1, and its reason."""

    factor: float = 1.0
    reason: Reason = "none"


class LoadShedding:
    """Controller of the stretch of windows and probes, with a decision every two seconds. Used from one thread.

    Args:
        limit: largest factor; 1 where no clock has to be kept up with.
        hop_seconds: hop without stretch, s.
        queue_seconds: audio that may wait before the oldest is lost, s.
        is_hot: returns whether the device is hot or short of power.
        on_change: called when the reason changes.
        now: Unix seconds, on the clock of the blocks.
        monotonic: monotonic seconds.
    """

    def __init__(
        self,
        *,
        limit: float,
        hop_seconds: float,
        queue_seconds: float,
        is_hot: Callable[[], bool],
        on_change: Callable[[], None] = lambda: None,
        now: Callable[[], float] = CLOCK.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._hop_seconds = hop_seconds
        self._queue_seconds = queue_seconds
        self._is_hot = is_hot
        self._on_change = on_change
        self._now = now
        self._monotonic = monotonic
        self._decided_at = monotonic()
        self._usual_delay = self._shortest_wait = float("inf")
        self._inference_seconds: deque[float] = deque(maxlen=_TIMED_WINDOWS)
        self.stretch = Stretch()

    def factor(self) -> float:
        """Return the current factor."""
        return self.stretch.factor

    def record_sound(self, end_time: float) -> None:
        """Measure the time that sound waited for the pipeline, and decide on the stretch when a period is over.

        Args:
            end_time: when its last sample sounded, Unix seconds.
        """
        delay = self._now() - end_time
        self._usual_delay = min(self._usual_delay, delay)  # a recording's clock starts before it plays
        self._shortest_wait = min(self._shortest_wait, delay - self._usual_delay)
        elapsed = self._monotonic() - self._decided_at
        if elapsed >= _PERIOD_SECONDS:
            self._decide(elapsed)

    def record_inference(self, seconds: float) -> None:
        """Record the inference time of a window, s."""
        self._inference_seconds.append(seconds)

    def _decide(self, elapsed: float) -> None:
        """Raise the factor at once as far as necessary; lower it slowly."""
        needed, reason = self._needed()
        eased = self.stretch.factor - elapsed / _EASE_SECONDS
        if needed < eased:
            needed, reason = eased, self.stretch.reason
        stretch = Stretch(min(needed, self._limit), reason) if min(needed, self._limit) > 1 else Stretch()
        if stretch.reason != self.stretch.reason:
            level = logging.INFO if stretch.reason == "none" else logging.WARNING
            _LOGGER.log(level, "%s", _MESSAGES[stretch.reason])
            self._on_change()
        self.stretch = stretch
        self._decided_at, self._shortest_wait = self._monotonic(), float("inf")

    def _needed(self) -> tuple[float, Reason]:
        reasons: list[tuple[float, Reason]] = [(1.0, "none")]
        if len(self._inference_seconds) >= _FEWEST_WINDOWS:
            median = statistics.median(self._inference_seconds)
            reasons.append((median / (_BUSY_SHARE * self._hop_seconds), "slow"))
        # The shortest wait of the period: within a burst, only the first blocks wait.
        reasons.append((self._shortest_wait / (_BEHIND_SHARE * self._queue_seconds), "behind"))
        if self._is_hot():
            reasons.append((_HOT_FACTOR, "hot"))
        return max(reasons)
