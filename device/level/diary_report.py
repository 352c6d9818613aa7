"""Report of the noise diary: one HTML page with plots, without scripts or links to the network."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from device.config.models import LevelConfig
from device.level.diary import EventRow, Levels
from device.level.diary_plots import hour_plot, level_plot
from device.level.periods import PERIODS, limit_of
from device.util.local_time import local

SHOWN_EVENTS = 2000
"""Events in the page, at most; the CSV file contains all."""
_NONE = "-"
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .8em; text-align: right }
th:first-child, td:first-child, .text { text-align: left } th { border-bottom: 1px solid #888 }
tr.over td { background: #fbe3de } svg { width: 100%; height: auto } svg text { font-size: 11px; fill: #444 }
.grid { stroke: #ddd } .line { stroke: #26618f; fill: none } .limit { stroke: #b3261e; stroke-dasharray: 5 3 }
.event { stroke: #777 } .over { stroke: #b3261e; stroke-width: 2 } rect { fill: #26618f }
"""
_METHOD = (
    "Earshot is no certified sound level meter. Levels are A-weighted by the formulas of IEC 61672-1, from sound "
    "that is sampled at 16 kHz, so frequencies above 7 kHz are missing.",
    "The microphone decides: a cheap one deviates by several dB between frequencies. A calibration corrects one "
    "frequency, for one microphone, gain and place.",
    "Sounds are named by a network that errs. Its confidence is stated, and sounds that it does not recognize are "
    "missing from the events. The levels contain all sound, whoever makes it, wind and rain included.",
    "The level of an event contains everything that sounded at that time. Its rise is its LAeq minus LA90 of the "
    "minute before.",
    "Hours and events are compared with the limits that the user has set. Legal rules add corrections, for instance "
    "for tones and impulses, rest periods and the place of measurement, which are not applied.",
)


def report(
    node: str,
    since: float,
    until: float,
    levels: Levels,
    events: Sequence[EventRow],
    config: LevelConfig,
) -> str:
    """Write the page.

    Args:
        node: name of the device.
        since: first time, Unix seconds.
        until: time after the last one, Unix seconds.
        levels: of the span.
        events: of the span, in the order of their start.
        config: periods and limits.
    """
    title = f"Noise diary of {node}"
    shown = events[:SHOWN_EVENTS]
    parts = [
        f"<h1>{escape(title)}</h1><p>{_when(since)} to {_when(until)}</p>",
        *(f"<p><strong>{escape(note)}</strong></p>" for note in notes(levels, events)),
        "<h2>Summary</h2>",
        _summary(levels, events),
        "<h2>Level</h2>" + level_plot(levels, shown, since, until) if levels.plot else "",
        "<h2>Periods and limits</h2>",
        _periods(levels, config),
        "<h2>Sounds</h2>",
        _labels(events),
        hour_plot(_by_hour(events)) if events else "",
        "<h2>Days</h2>" + _days(levels) if levels.days else "",
        "<h2>Hours</h2>" + _hours(levels) if levels.hours else "",
        "<h2>Events</h2>" + _events(shown) if events else "",
        f"<p>{len(events) - SHOWN_EVENTS} further events are in events.csv.</p>" if len(events) > SHOWN_EVENTS else "",
        "<h2>Limits of the method</h2><ul>" + "".join(f"<li>{escape(text)}</li>" for text in _METHOD) + "</ul>",
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def notes(levels: Levels, events: Sequence[EventRow]) -> list[str]:
    """Return what a reader must know about the values, one sentence or two each."""
    found = []
    if levels.total is None:
        found.append("No sound level was stored in this span.")
    elif not levels.calibrated:
        found.append("Uncalibrated: levels are dBFS(A), and are compared with no limit.")
    if levels.left_out:
        found.append(f"Minutes without a calibration, left out of the levels: {levels.left_out}.")
    if levels.unsynced:
        found.append(f"Minutes from before network time had set the clock: {levels.unsynced}.")
    if len({event.calibrated for event in events if event.laeq_db is not None}) > 1:
        found.append("Some events are calibrated and some are not. The unit of each is stated.")
    return found


def _summary(levels: Levels, events: Sequence[EventRow]) -> str:
    rows = [["events", str(len(events))], ["duration of all events", _duration(sum(event.seconds for event in events))]]
    if any(event.limit_db is not None for event in events):
        rows.append(["events above the limit", str(sum(event.exceeds for event in events))])
    if any(row.limit_db is not None for row in levels.hours):
        over = sum(row.exceeds for row in levels.hours)
        rows.append(["hours above the limit", f"{over} of {len(levels.hours)}"])
    if (total := levels.total) is not None:
        rows.append(["measured time", _duration(total.seconds)])
        named = {"LAeq": total.laeq, "LAmax": total.lamax, "LA10": total.la10, "LA50": total.la50, "LA90": total.la90}
        rows += [[name, f"{value:.1f} {levels.unit}"] for name, value in named.items()]
        rows.append(["Lden", "not all periods were measured" if levels.lden is None else _level(levels.lden, levels)])
    return _table([], ((row, False) for row in rows))


def _periods(levels: Levels, config: LevelConfig) -> str:
    hours = {
        "day": (config.day_hour, config.evening_hour),
        "evening": (config.evening_hour, config.night_hour),
        "night": (config.night_hour, config.day_hour),
    }
    names = {"day": "Lday", "evening": "Levening", "night": "Lnight"}
    rows = []
    for period in PERIODS:
        limit = limit_of(period, config)
        start, end = hours[period]
        value = _level(levels.periods[period], levels) if period in levels.periods else _NONE
        text = [f"{names[period]}, {start}:00 to {end}:00", value, "none" if limit is None else f"{limit:g} dB(A)"]
        over = levels.calibrated and limit is not None and levels.periods.get(period, limit) > limit
        rows.append((text, over))
    return _table(["period", "LAeq", "limit"], rows)


def _labels(events: Sequence[EventRow]) -> str:
    rows = []
    for label, count in Counter(event.label for event in events).most_common():
        own = [event for event in events if event.label == label]
        loudest = max(
            (each for each in own if each.lamax_db is not None), key=lambda each: each.lamax_db or 0, default=None
        )
        rows.append(
            (
                [
                    label,
                    str(count),
                    _duration(sum(each.seconds for each in own)),
                    _NONE if loudest is None else f"{loudest.lamax_db:.1f} {unit_of(loudest)}",
                    str(sum(each.exceeds for each in own)),
                ],
                False,
            )
        )
    return (
        _table(["sound", "events", "duration", "highest LAmax", "above the limit"], rows)
        if rows
        else "<p>No event.</p>"
    )


def _days(levels: Levels) -> str:
    head = ["day", "measured", "LAeq", "LAmax", "LA10", "LA50", "LA90", "Lday", "Levening", "Lnight", "Lden"]
    rows = []
    for day in levels.days:
        level = day.span.level
        values = (level.laeq, level.lamax, level.la10, level.la50, level.la90)
        parts = [*(day.laeq.get(period) for period in PERIODS), day.lden]
        text = [f"{local(day.span.start):%Y-%m-%d}", _duration(level.seconds)]
        rows.append((text + [_number(value) for value in (*values, *parts)], False))
    return _table(head, rows) + f"<p>All in {levels.unit}. The night of a day is from 0:00 and until 24:00 of it.</p>"


def _hours(levels: Levels) -> str:
    rows = []
    for row in levels.hours:
        level = row.level
        values = (level.laeq, level.lamax, level.la10, level.la50, level.la90, row.limit_db)
        rows.append(([_when(row.start), row.period or "", *map(_number, values)], row.exceeds))
    return _table(["hour", "period", "LAeq", "LAmax", "LA10", "LA50", "LA90", "limit"], rows) + f"<p>{levels.unit}</p>"


def _events(events: Sequence[EventRow]) -> str:
    rows = []
    for event in events:
        values = (event.laeq_db, event.lamax_db)
        text = [f"{local(event.start):%Y-%m-%d %H:%M:%S}", event.label, f"{event.confidence:.0%}"]
        text += [f"{event.seconds:.1f} s", *map(_number, values)]
        unit = _NONE if event.laeq_db is None else unit_of(event)
        rows.append(([*text, unit, _number(event.rise_db), _number(event.limit_db)], event.exceeds))
    head = ["start", "sound", "confidence", "duration", "LAeq", "LAmax", "unit", "rise, dB", "limit"]
    return _table(head, rows)


def _table(head: list[str], rows: Iterable[tuple[list[str], bool]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = (
        f"<tr{' class=over' if over else ''}>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
        for row, over in rows
    )
    return f"<table>{f'<tr>{titles}</tr>' if head else ''}{''.join(lines)}</table>"


def unit_of(event: EventRow) -> str:
    """Return the unit of an event's levels."""
    return "dB(A)" if event.calibrated else "dBFS(A)"


def _by_hour(events: Iterable[EventRow]) -> list[int]:
    counted = Counter(local(event.start).hour for event in events)
    return [counted[hour] for hour in range(24)]


def _level(value: float, levels: Levels) -> str:
    return f"{value:.1f} {levels.unit}"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"


def _when(time: float) -> str:
    return f"{local(time):%Y-%m-%d %H:%M}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
