"""Tests of spans of the day."""

import pytest

from device.config.day_spans import DaySpans


@pytest.mark.parametrize(
    ("spans", "clock", "quiet"),
    [
        ([], (3, 0), False),
        (["13:00-15:30"], (12, 59), False),
        (["13:00-15:30"], (13, 0), True),
        (["13:00-15:30"], (15, 29, 59), True),
        (["13:00-15:30"], (15, 30), False),
        (["22:00-07:00"], (21, 59), False),
        (["22:00-07:00"], (22, 0), True),
        (["22:00-07:00"], (0, 0), True),
        (["22:00-07:00"], (6, 59), True),
        (["22:00-07:00"], (7, 0), False),
        (["22:00-07:00", "13:00-15:00"], (14, 0), True),
    ],
)
def test_quiet_hours_go_by_the_local_clock(berlin_time, spans, clock, quiet):
    """A span is quiet from its first minute to before its last, also over midnight, in summer and in winter."""
    assert DaySpans(spans).hold(berlin_time(2026, 7, 1, *clock)) == quiet
    assert DaySpans(spans).hold(berlin_time(2026, 12, 31, *clock)) == quiet


@pytest.mark.parametrize(
    "span", ["22:00", "22-07", "24:00-07:00", "7:00-8:00", "22:00-07:60", "22:00 - 07:00", "", "10:00-10:00"]
)
def test_an_invalid_span_is_refused(span):
    """A span that is not two different times of day is an error."""
    with pytest.raises(ValueError, match=r"must be like|is empty"):
        DaySpans([span])
