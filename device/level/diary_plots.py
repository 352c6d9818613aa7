"""Plots of the noise diary as SVG, without a plotting library."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

from device.level.diary import EventRow, Levels
from device.util.local_time import local

_WIDTH, _HEIGHT = 960, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 34
_GRID_DB = 10
_TICKS = 8
_CLOCK_SECONDS = 3 * 86400
"""Longest span whose ticks have times of the day, s."""
_HOURS = 24


def level_plot(levels: Levels, events: Iterable[EventRow], since: float, until: float) -> str:
    """Draw LAeq over time, the limits, and a mark for the start of each event.

    Args:
        levels: with the values to plot.
        events: to mark.
        since: left end, Unix seconds.
        until: right end, Unix seconds.

    Returns:
        An SVG element; empty without values.
    """
    if not levels.plot:
        return ""
    values = [*(level for _, level in levels.plot), *(row.limit_db for row in levels.hours if row.limit_db is not None)]
    low = _GRID_DB * math.floor(min(values) / _GRID_DB)
    high = max(low + _GRID_DB, _GRID_DB * math.ceil(max(values) / _GRID_DB))

    def x(time: float) -> float:
        return round(_LEFT + (time - since) / (until - since) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(level: float) -> float:
        return round(_TOP + (high - level) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = []
    for level in range(low, high + 1, _GRID_DB):
        parts.append(f'<path class="grid" d="M{_LEFT} {y(level)}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(level) + 4}" text-anchor="end">{level}</text>')
    form = "%d.%m. %H:%M" if until - since <= _CLOCK_SECONDS else "%Y-%m-%d"
    for index in range(_TICKS + 1):
        time = since + (until - since) * index / _TICKS
        anchor = "start" if index == 0 else "end" if index == _TICKS else "middle"
        parts.append(f'<text x="{x(time)}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{local(time):{form}}</text>')
    parts.append(
        f'<path class="line" d="{_line([(x(time), y(level)) for time, level in levels.plot], _gaps(levels))}"/>'
    )
    for row in levels.hours:
        if row.limit_db is not None:
            start, end = x(max(row.start, since)), x(min(row.end, until))
            parts.append(f'<path class="limit" d="M{start} {y(row.limit_db)}H{end}"/>')
    for event in events:
        kind = "over" if event.exceeds else "event"
        title = escape(f"{local(event.start):%Y-%m-%d %H:%M:%S} {event.label}")
        parts.append(
            f'<path class="{kind}" d="M{x(event.start)} {_HEIGHT - _BOTTOM}v-10"><title>{title}</title></path>'
        )
    return _svg(f"LAeq over time, {levels.unit}. Dashed: limit. Marks: events, red above the limit", parts)


def hour_plot(counts: Sequence[int]) -> str:
    """Draw the number of events in each hour of the day, shape (24,)."""
    highest = max(1, *counts)
    step = (_WIDTH - _LEFT - _RIGHT) / _HOURS
    parts = []
    for hour, count in enumerate(counts):
        left, height = _LEFT + hour * step, count / highest * (_HEIGHT - _TOP - _BOTTOM)
        top, middle = _HEIGHT - _BOTTOM - height, left + step / 2
        parts.append(f'<rect x="{left + 2:.1f}" y="{top:.1f}" width="{step - 4:.1f}" height="{height:.1f}"/>')
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 14}" text-anchor="middle">{hour}</text>')
        if count:
            parts.append(f'<text x="{middle:.1f}" y="{max(top - 3, 11):.1f}" text-anchor="middle">{count}</text>')
    return _svg("Events by hour of the day", parts)


def _gaps(levels: Levels) -> set[int]:
    """Return the numbers of the values that do not follow the one before: the sound was not measured there."""
    times = [time for time, _ in levels.plot]
    steps = [later - earlier for earlier, later in pairwise(times)]
    usual = min(steps, default=0.0)
    return {index + 1 for index, step in enumerate(steps) if step > 1.5 * usual}


def _line(points: Sequence[tuple[float, float]], gaps: set[int]) -> str:
    commands = (f"{'M' if index == 0 or index in gaps else 'L'}{x} {y}" for index, (x, y) in enumerate(points))
    return "".join(commands) + "h.1"  # a single value is a dot


def _svg(title: str, parts: list[str]) -> str:
    return (
        f"<p>{escape(title)}.</p>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"><title>{escape(title)}</title>' + "".join(parts) + "</svg>"
    )
