"""Tests of local time: forms that people type, and the hours and days of Berlin, Lord Howe Island and Santiago."""

import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.util.local_time import days, hours, local, local_of, parse_time


@pytest.fixture
def zone(monkeypatch):
    """Return a function that sets the time zone."""

    def set_zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


def lengths(bounds):
    """Return the length of each span, in hours."""
    return [(end - start) / 3600 for start, end in pairwise(bounds)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", (2026, 11, 27, 14, 45)),
        ("24h", (2026, 11, 26, 15, 15)),
        ("90s", (2026, 11, 27, 15, 13, 30)),
        ("7d", (2026, 11, 20, 15, 15)),
        ("2w", (2026, 11, 13, 15, 15)),
        ("2026-11-27", (2026, 11, 27)),
        ("2026-11-27T03:00", (2026, 11, 27, 3)),
        ("2026-11-27 03:00:30", (2026, 11, 27, 3, 0, 30)),
        ("2026-11-27T03:00:00.250Z", (2026, 11, 27, 4, 0, 0, 250_000)),
        ("2026-11-27T03:00-05:00", (2026, 11, 27, 9)),
        ("03:00", (2026, 11, 27, 3)),
        ("today", (2026, 11, 27)),
        ("yesterday", (2026, 11, 26)),
        ("now", (2026, 11, 27, 15, 15)),
        (" today ", (2026, 11, 27)),
    ],
)
def test_times_are_read_as_people_type_them(berlin_time, text, expected):
    """Durations, dates, times and words are times of the local clock."""
    assert parse_time(text, berlin_time(2026, 11, 27, 15, 15)) == berlin_time(*expected)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "nonsense",
            "12",
            "24",
            "-24h",
            "24 hours",
            "1e3h",
            "999999w",
            "٣d",
            "tomorrow",
            "25:00",
            "\0",
            "h" * 10_000,
        ),
        *("2026-02-30", "2026-11", "20261127", "0001-01-01", "2026-11-27T", "2026-11-27T03:00+99:00"),
    ],
)
def test_nonsense_is_refused(berlin_time, text):
    """Any other text is an error that lists the forms."""
    with pytest.raises(ValueError, match=r"must be a duration \(30m, 24h, 7d\)"):
        parse_time(text, berlin_time(2026, 11, 27, 15, 15))


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_an_error(text):
    """No text causes another error than `ValueError`."""
    try:
        assert isinstance(parse_time(text, 1_800_000_000.0), float)
    except ValueError as error:
        assert "must be" in str(error)


def test_the_time_of_a_message_is_local(berlin_time):
    """A time in UTC is the same moment of the local clock; one that the clock cannot show is an error as any other."""
    assert f"{local_of('2026-11-27T03:00:00.250Z'):%H:%M:%S %z}" == "04:00:00 +0100"
    for text in ("9999-12-31T23:59:59Z", "soon", ""):
        with pytest.raises(ValueError, match=r"year|isoformat"):
            local_of(text)


def test_a_day_before_is_the_same_time_of_the_clock(berlin_time):
    """`1d` after a day of 23 hours is the same time of the day before; `24h` is 24 hours."""
    now = berlin_time(2026, 3, 29, 12)
    assert parse_time("1d", now) == berlin_time(2026, 3, 28, 12) == now - 23 * 3600
    assert parse_time("24h", now) == now - 24 * 3600 == berlin_time(2026, 3, 28, 11)


def test_days_have_23_24_or_25_hours(berlin_time):
    """The days around both changes of the clock in Berlin begin at midnight."""
    spring = days(berlin_time(2026, 3, 28, 17), berlin_time(2026, 3, 30, 1))
    assert lengths(spring) == [24, 23, 24]
    autumn = days(berlin_time(2026, 10, 24, 17), berlin_time(2026, 10, 26, 1))
    assert lengths(autumn) == [24, 25, 24]
    assert {local(bound).strftime("%H:%M") for bound in spring + autumn} == {"00:00"}


def test_an_hour_that_occurs_twice_is_two_hours(berlin_time):
    """On the day of 25 hours, 2 o'clock occurs twice, with two offsets; on that of 23 hours, never."""
    autumn = hours(berlin_time(2026, 10, 25), berlin_time(2026, 10, 26))
    assert lengths(autumn) == [1] * 25
    names = [local(bound).strftime("%H %z") for bound in autumn[:-1]]
    assert names[1:5] == ["01 +0200", "02 +0200", "02 +0100", "03 +0100"]
    spring = hours(berlin_time(2026, 3, 29), berlin_time(2026, 3, 30))
    assert lengths(spring) == [1] * 23
    assert [local(bound).strftime("%H %z") for bound in spring[1:3]] == ["01 +0100", "03 +0200"]


def test_a_span_is_extended_to_whole_hours_and_days(berlin_time):
    """The first hour contains the start, the last one the end; an end on the hour begins no further one."""
    since, until = berlin_time(2026, 11, 27, 3, 30, 1), berlin_time(2026, 11, 27, 5)
    assert hours(since + 0.123456, until) == [berlin_time(2026, 11, 27, hour) for hour in (3, 4, 5)]
    assert hours(since, since + 1) == [berlin_time(2026, 11, 27, hour) for hour in (3, 4)]
    assert days(since, until) == [berlin_time(2026, 11, day) for day in (27, 28)]


@settings(max_examples=25)
@given(st.floats(1_700_000_000, 1_900_000_000), st.floats(1, 1.5e6))
@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "UTC"])
def test_spans_are_complete_in_every_zone(name, since, seconds):
    """Hours and days rise without a gap, contain the span, and begin on the hour or day: half-hour changes included."""
    before = time.tzname
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        for bounds, longest in ((hours(since, since + seconds), 3600), (days(since, since + seconds), 25 * 3600)):
            assert bounds[0] <= since
            assert bounds[-2] < since + seconds <= bounds[-1]
            assert all(0 < end - start <= longest for start, end in pairwise(bounds))
        assert all(local(bound).minute in (0, 30) and local(bound).second == 0 for bound in hours(since, since + 1))
        dates = [local(bound).date() for bound in days(since, since + seconds)]
        assert all(later - day == timedelta(days=1) for day, later in pairwise(dates))
    time.tzset()
    assert time.tzname == before


def test_the_local_time_has_its_offset(zone):
    """A time is shown with the offset from UTC of its own season."""
    zone("Europe/Berlin")
    assert local(datetime.fromisoformat("2026-07-01T00:00Z").timestamp()).isoformat() == "2026-07-01T02:00:00+02:00"
    assert local(datetime.fromisoformat("2026-12-01T00:00Z").timestamp()).isoformat() == "2026-12-01T01:00:00+01:00"
