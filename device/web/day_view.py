"""Day view: timeline by label, counts by hour and by day, and the list of events of one local day."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from device.history.reader import HistoryReader, Occurrence
from device.util.local_time import days, hours, local, start_of_day

EVENTS_OF_PAGE: Final = 50
"""Events on one page of the list."""
DAYS_SHOWN: Final = 14
"""Days whose events are counted."""
TIMELINE_STEPS: Final = 1440
"""Width of the timeline, in steps; two events within one step are one mark."""


@dataclass(frozen=True)
class Row:
    """Label in the timeline.

    Attributes:
        label: label or AudioSet class.
        count: number of its events.
        marks: start and width of each mark, in steps of the timeline.
        first_time: local time of the first event, as in 07:15.
        last_time: local time of the last event.
    """

    label: str
    count: int
    marks: list[tuple[int, int]]
    first_time: str
    last_time: str


@dataclass(frozen=True)
class Count:
    """Number of events in one hour or day.

    Attributes:
        start: its first moment, local time.
        events: their number.
        height: the same as a part of the largest number, 0 to 100.
    """

    start: datetime
    events: int
    height: int


@dataclass(frozen=True)
class DayView:
    """One local day.

    Attributes:
        day: its date.
        previous: date of the day before.
        following: date of the day after; None for today.
        label: label to which counts and list are limited; empty for all.
        total: number of events in the list, on all pages.
        rows: labels of the day, the most frequent first.
        hours: counts of its hours.
        days: counts of the last days up to this one.
        events: `end` messages of the page, the newest first.
        page: number of the page, from 0.
        pages: number of pages, at least 1.
    """

    day: date
    previous: date
    following: date | None
    label: str
    total: int
    rows: list[Row]
    hours: list[Count]
    days: list[Count]
    events: list[dict[str, Any]]
    page: int
    pages: int


def view_day(reader: HistoryReader, day: date, label: str, page: int) -> DayView:
    """Read one day from the history.

    Args:
        reader: the history.
        day: local date, as `parse_day` returns it.
        label: label to which counts and list are limited; empty for all.
        page: number of the page of the list, from 0.
    """
    start, end = start_of_day(day), start_of_day(day + timedelta(days=1))
    occurrences = list(reader.occurrences(start, end))
    labels = [label] if label else []
    listed = [each for each in occurrences if label in ("", each.label)]
    pages = max(1, -(-len(listed) // EVENTS_OF_PAGE))
    page = min(page, pages - 1)
    newest_first = listed[::-1][page * EVENTS_OF_PAGE : (page + 1) * EVENTS_OF_PAGE]
    found = (reader.event(each.event_id) for each in newest_first)
    first_day = start_of_day(day - timedelta(days=DAYS_SHOWN - 1))
    return DayView(
        day=day,
        previous=day - timedelta(days=1),
        following=day + timedelta(days=1) if day < local(time.time()).date() else None,
        label=label,
        total=len(listed),
        rows=_rows(occurrences, start, end),
        hours=_counts(reader, hours(start, end), labels),
        days=_counts(reader, days(first_day, end), labels),
        events=[message for message in found if message is not None],
        page=page,
        pages=pages,
    )


def parse_day(text: str) -> date:
    """Return the local date of a text as in 2026-11-27; today for an empty one, or for one in the future.

    Raises:
        ValueError: it is no date between 1971 and today's century.
    """
    today = local(time.time()).date()
    if not text:
        return today
    day = date.fromisoformat(text)
    if day.year < 1971:
        raise ValueError("before the first day")
    return min(day, today)


def _counts(reader: HistoryReader, bounds: Sequence[float], labels: Sequence[str]) -> list[Count]:
    numbers = [sum(found.values()) for found in reader.counts(bounds, labels)]
    largest = max(numbers, default=0) or 1
    return [
        Count(local(start), number, round(100 * number / largest))
        for (start, _), number in zip(pairwise(bounds), numbers, strict=True)
    ]


def _rows(occurrences: list[Occurrence], start: float, end: float) -> list[Row]:
    by_label: dict[str, list[Occurrence]] = {}
    for each in occurrences:
        by_label.setdefault(each.label, []).append(each)
    rows = [
        Row(label, len(group), _marks(group, start, end), _time(group[0].start_time), _time(group[-1].start_time))
        for label, group in by_label.items()
    ]
    return sorted(rows, key=lambda row: (-row.count, row.label))


def _marks(group: list[Occurrence], start: float, end: float) -> list[tuple[int, int]]:
    """Return start and width of the marks. Those that touch are joined, so that a noisy day makes no large page."""
    scale = TIMELINE_STEPS / (end - start)
    marks: list[tuple[int, int]] = []
    for each in group:
        first = int((each.start_time - start) * scale)
        last = max(first + 1, min(TIMELINE_STEPS, round((each.end_time - start) * scale)))
        if marks and first <= sum(marks[-1]):
            first, last = marks[-1][0], max(last, sum(marks.pop()))
        marks.append((first, last - first))
    return marks


def _time(unix_seconds: float) -> str:
    return f"{local(unix_seconds):%H:%M}"
