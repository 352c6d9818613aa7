"""Token bucket: limits how often something may happen."""

import time
from collections.abc import Callable


class TokenBucket:
    """Budget of actions: a burst, then a steady rate. Used from one thread.

    Args:
        burst: tokens at the start, and their maximum.
        per_second: tokens that are added each second.
        clock: monotonic seconds.
    """

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._tokens, self._filled_at = burst, clock()

    def take(self) -> bool:
        """Take a token and return true; return false if there is none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
