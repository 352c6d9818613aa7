"""Warnings that are not said again and again."""

import logging
import time
from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)

_REPEAT_SECONDS = 3600.0


class LogThrottle:
    """Logs a warning, but the same one at most once an hour, or again once all has been well.

    Args:
        clock: seconds that only go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def warning(self, text: str) -> None:
        """Log it, unless it was said lately."""
        now = self._clock()
        said_at = self._said_at.get(text)
        if said_at is None or now - said_at >= _REPEAT_SECONDS:
            _LOGGER.warning("%s", text)
            self._said_at[text] = now

    def reset(self) -> None:
        """All is well: whatever goes wrong from now on is news."""
        self._said_at.clear()
