"""Outages: sensors that are offline, and a broker that is away, for longer than the user admits."""

import time
from collections.abc import Callable
from dataclasses import dataclass

BROKER = ""
"""Key of the broker among the nodes: no node has an empty name."""
_MOST_NODES = 1000


@dataclass(frozen=True)
class Outage:
    """Outage of a sensor or of the broker.

    Attributes:
        node: the node; `BROKER` for the broker.
        since: its beginning, Unix seconds.
        is_over: True at its end.
    """

    node: str
    since: float
    is_over: bool


@dataclass
class _Absence:
    since: float
    due: float
    is_reported: bool = False


class OutageWatch:
    """Nodes and the broker, each with the time since which it is away.

    Args:
        minutes: duration of an outage from which it is reported; None for never.
        steady: monotonic seconds.
        wall: Unix seconds of the system clock.
    """

    def __init__(
        self,
        minutes: float | None,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._seconds = None if minutes is None else 60 * minutes
        self._steady, self._wall = steady, wall
        self._away: dict[str, _Absence] = {}

    def record(self, node: str, *, is_away: bool) -> list[Outage]:
        """Record the state of a node, or of the `BROKER`, and return the end of an outage that was reported."""
        if is_away:
            if self._seconds is not None and node not in self._away and len(self._away) < _MOST_NODES:
                self._away[node] = _Absence(self._wall(), self._steady() + self._seconds)
            return []
        absence = self._away.pop(node, None)
        return [Outage(node, absence.since, is_over=True)] if absence and absence.is_reported else []

    def forget(self, node: str) -> None:
        """Forget a node that no longer exists."""
        self._away.pop(node, None)

    def due(self) -> list[Outage]:
        """Return the outages that have lasted long enough by now; each is returned once."""
        now = self._steady()
        found = [(node, each) for node, each in self._away.items() if not each.is_reported and each.due <= now]
        for _, absence in found:
            absence.is_reported = True
        return [Outage(node, absence.since, is_over=False) for node, absence in found]
