"""Noise diary: what sounded when, how long and how loud, and the levels of hours and days, against limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from device.config.models import LevelConfig
from device.level.minutes import LevelSum, MinuteLevel
from device.level.periods import PERIODS, Period, lden, limit_of, period_of
from device.level.statistics import SoundLevel
from device.level.table import LevelReader
from device.util.local_time import days, hours, local

_MINUTE_PLOT_SECONDS = 2 * 86400
"""Longest span whose plot has a value for each minute, s. A longer one has a value for each hour."""


@dataclass(frozen=True)
class SpanRow:
    """Levels of an hour or a day.

    Attributes:
        start: Unix seconds.
        end: Unix seconds.
        level: levels, in the diary's unit.
        period: period of an hour; None for a day.
        limit_db: limit of the period; None without one, and uncalibrated.
    """

    start: float
    end: float
    level: SoundLevel
    period: Period | None = None
    limit_db: float | None = None

    @property
    def exceeds(self) -> bool:
        """Comparison with the limit: True if LAeq is above it."""
        return self.limit_db is not None and self.level.laeq > self.limit_db


@dataclass(frozen=True)
class DayRow:
    """Levels of a day, with those of its periods.

    Attributes:
        span: the whole day.
        laeq: LAeq of each period that was measured, dB.
        lden: day-evening-night level, dB; None unless all periods were measured.
    """

    span: SpanRow
    laeq: dict[Period, float]
    lden: float | None


@dataclass(frozen=True)
class EventRow:
    """Event with its level.

    Attributes:
        start: Unix seconds.
        seconds: duration, s.
        label: label or AudioSet class.
        confidence: 0 to 1.
        laeq_db: None if it was not measured, as for the two below.
        lamax_db: highest level.
        rise_db: LAeq above the background.
        calibrated: whether the levels are dB(A), else dBFS(A).
        period: period of its start.
        limit_db: limit of the period; None without one, and uncalibrated.
    """

    start: float
    seconds: float
    label: str
    confidence: float
    laeq_db: float | None
    lamax_db: float | None
    rise_db: float | None
    calibrated: bool
    period: Period
    limit_db: float | None

    @property
    def exceeds(self) -> bool:
        """Comparison with the limit: True if LAeq is above it."""
        return self.limit_db is not None and self.laeq_db is not None and self.laeq_db > self.limit_db


@dataclass
class Levels:
    """Levels of a span of time, for the diary.

    Attributes:
        calibrated: whether they are dB(A), else dBFS(A).
        hours: measured hours.
        days: measured days.
        total: the whole span; None if nothing was measured.
        periods: LAeq of the periods that were measured, over all days.
        lden: day-evening-night level of the whole span; None unless all periods were measured.
        plot: times and LAeq: of each minute, or of each hour of a long span.
        left_out: minutes without a calibration, in a span with calibrated ones.
        unsynced: minutes from before network time had set the clock.
    """

    calibrated: bool = False
    hours: list[SpanRow] = field(default_factory=list)
    days: list[DayRow] = field(default_factory=list)
    total: SoundLevel | None = None
    periods: dict[Period, float] = field(default_factory=dict)
    lden: float | None = None
    plot: list[tuple[float, float]] = field(default_factory=list)
    left_out: int = 0
    unsynced: int = 0

    @property
    def unit(self) -> str:
        """Unit of the levels."""
        return "dB(A)" if self.calibrated else "dBFS(A)"


def diary_levels(reader: LevelReader, since: float, until: float, config: LevelConfig) -> Levels:
    """Collect the levels of a span, an hour at a time. If any minute is calibrated, the others are left out.

    Args:
        reader: open.
        since: first time, Unix seconds.
        until: time after the last one.
        config: periods and limits.
    """
    levels = Levels(calibrated=reader.has_calibrated(since, until))
    total, of_period = _new_sums(levels)
    for first, last in pairwise(days(since, until)):
        day_total, day_periods = _new_sums(levels)
        for start, end in pairwise(hours(max(first, since), min(last, until))):
            period, hour = period_of(local(start).hour, config), LevelSum(calibrated=levels.calibrated)
            for minute in _used(reader.minutes(max(start, since), min(end, until)), levels):
                for each in (hour, day_total, total, day_periods[period], of_period[period]):
                    each.add(minute)
                if until - since <= _MINUTE_PLOT_SECONDS:
                    levels.plot.append((minute.start_time, minute.laeq + _offset(minute, levels)))
            if (level := hour.result()) is not None:
                limit = limit_of(period, config) if levels.calibrated else None
                levels.hours.append(SpanRow(start, end, level, period, limit))
        if (level := day_total.result()) is not None:
            laeq = _laeq(day_periods)
            levels.days.append(DayRow(SpanRow(first, last, level), laeq, lden(laeq, config)))
    levels.total, levels.periods = total.result(), _laeq(of_period)
    levels.lden = lden(levels.periods, config)
    levels.plot = levels.plot or [(row.start, row.level.laeq) for row in levels.hours]
    return levels


def event_row(message: dict[str, Any], start: float, config: LevelConfig) -> EventRow:
    """Make the row of an event from its `end` message. Messages of earlier versions have no level.

    Args:
        message: of the history.
        start: its start, Unix seconds.
        config: periods and limits.
    """
    period, calibrated = period_of(local(start).hour, config), bool(message.get("level_calibrated"))
    return EventRow(
        start,
        message["duration_seconds"],
        message["label"],
        message["confidence"],
        message.get("laeq_db"),
        message.get("lamax_db"),
        message.get("rise_db"),
        calibrated,
        period,
        limit_of(period, config) if calibrated else None,
    )


def _new_sums(levels: Levels) -> tuple[LevelSum, dict[Period, LevelSum]]:
    return LevelSum(calibrated=levels.calibrated), {
        period: LevelSum(calibrated=levels.calibrated) for period in PERIODS
    }


def _used(minutes: Iterable[MinuteLevel], levels: Levels) -> Iterator[MinuteLevel]:
    """Yield the minutes that have the diary's unit; count the others."""
    for minute in minutes:
        if levels.calibrated and minute.calibration_db is None:
            levels.left_out += 1
            continue
        levels.unsynced += not minute.clock_synced
        yield minute


def _offset(minute: MinuteLevel, levels: Levels) -> float:
    return (minute.calibration_db or 0.0) if levels.calibrated else 0.0


def _laeq(sums: dict[Period, LevelSum]) -> dict[Period, float]:
    return {period: level.laeq for period, each in sums.items() if (level := each.result()) is not None}
