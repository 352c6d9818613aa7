"""Local time: times as people type them, and the hours and days of the local clock, across changes to summer time.

The zone is that of the C library (`TZ`, else /etc/localtime), as for everything else on the machine. Python's datetime
without a zone uses it, with the rules of PEP 495 for hours that occur twice or never.
"""

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

TIME_FORMS = "a duration (30m, 24h, 7d), a date or time (2026-11-27, 2026-11-27T03:00, 03:00), today, yesterday or now"
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_ELAPSED_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DAYS = {"d": 1, "w": 7}
_TIME_OF_DAY = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?")
_HOUR_SECONDS = 3600
_A_DAY = timedelta(days=1)


def parse_time(text: str, now: float) -> float:
    """Convert a time as people type it to Unix seconds.

    A duration is before `now`. Days and weeks are those of the local clock: `1d` is the same time of yesterday, also if
    yesterday had 23 hours. A date is its first moment. A time without a zone is local; one that occurs twice is the
    first.

    Args:
        text: one of `TIME_FORMS`.
        now: Unix seconds.

    Raises:
        ValueError: the text has another form, or is no time.
    """
    try:
        return _parse_time(text.strip(), datetime.fromtimestamp(now)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"is {text!r}, must be {TIME_FORMS}") from error


def _parse_time(text: str, now: datetime) -> datetime:
    today = _midnight(now.date())
    words = {"now": now, "today": today, "yesterday": today - timedelta(days=1)}
    if text in words:
        return words[text]
    if duration := _DURATION.fullmatch(text):
        count, unit = int(duration[1]), duration[2]
        if unit in _DAYS:
            return now - timedelta(days=count * _DAYS[unit])
        return datetime.fromtimestamp(now.timestamp() - count * _ELAPSED_SECONDS[unit])
    if _TIME_OF_DAY.fullmatch(text):
        return datetime.fromisoformat(f"{now.date()}T{text}")
    if _DATE.fullmatch(text):
        return datetime.fromisoformat(text)
    raise ValueError("another form")


def local(unix_seconds: float) -> datetime:
    """Return the local time, with the offset from UTC that holds then."""
    return datetime.fromtimestamp(unix_seconds).astimezone()


def local_of(rfc3339: str) -> datetime:
    """Return the local time of a time in a message, as in 2026-11-27T03:00:00.250Z.

    Raises:
        ValueError: the text is no time, or one outside the years of the local clock.
    """
    try:
        return datetime.fromisoformat(rfc3339).astimezone()
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999") from error


def start_of_day(day: date) -> float:
    """Return the first moment of a local day, Unix seconds."""
    return _midnight(day).timestamp()


def hours(since: float, until: float) -> list[float]:
    """Return the bounds of the local hours that contain a span. An hour that occurs twice is two hours.

    Args:
        since: first time, Unix seconds.
        until: time after the last one, Unix seconds.

    Returns:
        Rising Unix seconds: the start of the first hour, of each following one, and the end of the last.
    """
    return _bounds(since, until, _start_of_hour, _next_hour)


def days(since: float, until: float) -> list[float]:
    """Return the bounds of the local days that contain a span: days of 23, 24 or 25 hours. See `hours`."""
    return _bounds(since, until, lambda time: start_of_day(_day(time)), lambda time: start_of_day(_day(time) + _A_DAY))


def _bounds(
    since: float, until: float, floor: Callable[[float], float], following: Callable[[float], float]
) -> list[float]:
    bounds = [floor(since)]
    while len(bounds) < 2 or bounds[-1] < until:
        bounds.append(following(bounds[-1]))
    return bounds


def _start_of_hour(time: float) -> float:
    second = math.floor(time)  # `fromtimestamp` rounds, so it could return the next hour
    return second - _seconds_of_hour(second)


def _next_hour(start: float) -> float:
    # The start itself is within an hour where the clock is set by half an hour (Lord Howe Island).
    return start + _HOUR_SECONDS - _seconds_of_hour(start)


def _seconds_of_hour(time: float) -> int:
    """Return the whole seconds since the start of the local hour."""
    moment = datetime.fromtimestamp(time)
    return 60 * moment.minute + moment.second


def _day(time: float) -> date:
    return datetime.fromtimestamp(math.floor(time)).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())
