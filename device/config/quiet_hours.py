"""Hours of the day in which no event is to start, by the local clock."""

import re
from collections.abc import Iterable
from datetime import datetime

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class QuietHours:
    """Spans of every day, each from its first minute to before its last, over midnight where that is earlier.

    Args:
        spans: as in "22:00-07:00".

    Raises:
        ValueError: a span is written otherwise, or is empty.
    """

    def __init__(self, spans: Iterable[str]) -> None:
        self._spans = [_minutes(span) for span in spans]

    def hold(self, unix_seconds: float) -> bool:
        """Whether it is quiet then. Where the clock is set back in autumn, an hour of the night comes twice."""
        local = datetime.fromtimestamp(unix_seconds)
        minute = 60 * local.hour + local.minute
        return any(
            start <= minute < end if start < end else minute >= start or minute < end for start, end in self._spans
        )


def _minutes(span: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(span)
    if match is None:
        raise ValueError('must be like "22:00-07:00", by the local clock, 00:00 to 23:59')
    first_hour, first_minute, last_hour, last_minute = map(int, match.groups())
    start, end = 60 * first_hour + first_minute, 60 * last_hour + last_minute
    if start == end:
        raise ValueError("holds no time. To hear nothing at all, stop the daemon; to have no quiet hours, write []")
    return start, end
