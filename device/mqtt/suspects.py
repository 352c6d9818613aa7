"""Suspects: topics whose messages were in flight when connections ended, so that they may be the reason."""

import time
from collections.abc import Callable

SUSPICIOUS_ENDS = 3
"""Successive connections that end with a message of the same topic in flight, until the topic is held."""
_FIRST_HOLD_SECONDS, _LAST_HOLD_SECONDS = 60.0, 3600.0


class Suspects:
    """Ends of connections by topic. Used from one thread.

    A broker may end the connection at a message that it does not accept, without a reason. After three ends in
    succession the topic is held for a minute, then for two, up to an hour, so that other messages get through.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, int] = {}
        self._held_until: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Return True if a topic is under suspicion."""
        return bool(self._ends)

    def blame(self, topic: str) -> int:
        """Record that a connection ended with this topic's message in flight; return the number of such ends."""
        self._ends[topic] = ends = self._ends.get(topic, 0) + 1
        if ends >= SUSPICIOUS_ENDS:
            seconds = min(_FIRST_HOLD_SECONDS * 2.0 ** min(ends - SUSPICIOUS_ENDS, 16), _LAST_HOLD_SECONDS)
            self._held_until[topic] = self._clock() + seconds
        return ends

    def clear(self, topic: str) -> None:
        """Record that a message of this topic was acknowledged."""
        self._ends.pop(topic, None)
        self._held_until.pop(topic, None)

    def held(self) -> set[str]:
        """Return the topics that are held now."""
        now = self._clock()
        return {topic for topic, until in self._held_until.items() if now < until}
