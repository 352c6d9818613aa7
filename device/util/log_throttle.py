"""Log throttle: limits how often the same warning is logged."""

import logging
import time
from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)

_REPEAT_SECONDS = 3600.0
"""Least time between two identical warnings, s."""


class LogThrottle:
    """Logger that repeats a warning at most once an hour. A reset allows all warnings again.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at: dict[str, float] = {}

    def warning(self, text: str) -> None:
        """Log a warning, unless the same text was logged within the last hour."""
        now = self._clock()
        logged_at = self._logged_at.get(text)
        if logged_at is None or now - logged_at >= _REPEAT_SECONDS:
            _LOGGER.warning("%s", text)
            self._logged_at[text] = now

    def reset(self) -> None:
        """Allow every warning at once, because the fault is over."""
        self._logged_at.clear()
