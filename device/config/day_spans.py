"""Spans of the day, by the local clock: quiet hours, and the hours of a notification's rule."""

import re
from collections.abc import Iterable
from datetime import datetime

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class DaySpans:
    """Spans of every day, from the first minute to before the last one.

    A span continues over midnight if its last minute is earlier than its first.

    Args:
        spans: start and end of each span, as in "22:00-07:00".

    Raises:
        ValueError: a span has another form, or is empty.
    """

    def __init__(self, spans: Iterable[str]) -> None:
        self._spans = [_minutes(span) for span in spans]

    def hold(self, unix_seconds: float) -> bool:
        """Return True in a span. An hour occurs twice in the night when the clock is set back; both are alike."""
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
        raise ValueError('is empty. For the whole day, write ["00:00-12:00", "12:00-00:00"]')
    return start, end
