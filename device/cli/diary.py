"""`earshot diary`: noise diary of a span, as an HTML page and tables."""

import argparse
import csv
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from device.cli.history import resolve_labels
from device.cli.output import print_json, print_note
from device.config.loader import load_config
from device.config.models import LevelConfig
from device.config.paths import readable_state
from device.errors import EXIT_DONE, InputError, UnavailableError
from device.history.reader import HistoryReader
from device.history.table import HISTORY_FILE
from device.level.diary import EventRow, Levels, diary_levels, event_row
from device.level.diary_report import notes, report, unit_of
from device.level.table import LEVELS_FILE, LevelReader
from device.util.local_time import local

_EVENT_COLUMNS = (
    *("start_time", "duration_seconds", "label", "confidence", "laeq_db", "lamax_db", "rise_db", "unit"),
    *("period", "limit_db", "above_limit"),
)
_HOUR_COLUMNS = (
    *("start_time", "end_time", "seconds", "laeq_db", "lamax_db", "la10_db", "la50_db", "la90_db", "unit"),
    *("period", "limit_db", "above_limit"),
)


def run(arguments: argparse.Namespace) -> int:
    """Write the diary's page and tables into a folder; return the exit code.

    Raises:
        InputError: the span ends before it begins, or a label has no event.
        UnavailableError: there are neither levels nor events, or the folder cannot be written.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    since, until = arguments.since, time.time() if arguments.until is None else arguments.until
    if until <= since:
        raise InputError("diary: --to is not after --from. Set a later --to, or an earlier --from")
    state = readable_state()
    levels = _levels(state / LEVELS_FILE, since, until, config.level)
    events = _events(state / HISTORY_FILE, since, until, arguments.label, config.level)
    if levels.total is None and not events:
        raise UnavailableError("diary: neither a level nor an event is stored in this span. Set an earlier --from")
    page = report(config.node, since, until, levels, events, config.level)
    files = _write(arguments.output, page, events, levels)
    for note in notes(levels, events):
        print_note(note)
    if arguments.json:
        print_json({"files": [str(path) for path in files], **_summary(levels, events)})
    else:
        print("\n".join(map(str, files)))
    return EXIT_DONE


def _levels(path: Path, since: float, until: float, config: LevelConfig) -> Levels:
    if not path.exists():
        return Levels()
    with LevelReader(path) as reader:
        return diary_levels(reader, since, until, config)


def _events(path: Path, since: float, until: float, names: list[str], config: LevelConfig) -> list[EventRow]:
    """Read the events of a span.

    Raises:
        InputError: none of the labels has an event.
    """
    if not path.exists():
        return []
    with HistoryReader(path) as reader:
        labels = resolve_labels(names, reader)
        if names and not labels:
            raise InputError("diary: no event has such a label. `earshot history --by day` lists the labels")
        return [
            event_row(message, datetime.fromisoformat(message["start_time"]).timestamp(), config)
            for message in reader.events(since, until, labels)
        ]


def _write(folder: Path, page: str, events: list[EventRow], levels: Levels) -> list[Path]:
    """Write the files, and return their paths.

    Raises:
        UnavailableError: the folder cannot be written.
    """
    files = [folder / name for name in ("diary.html", "events.csv", "hours.csv")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files[0].write_text(page, encoding="utf-8")
        _write_table(files[1], _EVENT_COLUMNS, _event_cells(events))
        _write_table(files[2], _HOUR_COLUMNS, _hour_cells(levels))
    except OSError as error:
        raise UnavailableError(
            f"diary {folder}: cannot be written ({error.strerror}). Set another folder with --output"
        ) from error
    return files


def _write_table(path: Path, columns: Iterable[str], rows: Iterable[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def _event_cells(events: list[EventRow]) -> Iterator[list[Any]]:
    for each in events:
        levels = [each.laeq_db, each.lamax_db, each.rise_db, unit_of(each) if each.laeq_db is not None else None]
        limit = [each.period, each.limit_db, _flag(each.limit_db, exceeds=each.exceeds)]
        yield [_iso(each.start), each.seconds, each.label, each.confidence, *levels, *limit]


def _hour_cells(levels: Levels) -> Iterator[list[Any]]:
    for row in levels.hours:
        level = row.level
        values = (level.laeq, level.lamax, level.la10, level.la50, level.la90)
        limit = [row.period, row.limit_db, _flag(row.limit_db, exceeds=row.exceeds)]
        rounded = [round(value, 1) for value in (level.seconds, *values)]
        yield [_iso(row.start), _iso(row.end), *rounded, levels.unit, *limit]


def _summary(levels: Levels, events: list[EventRow]) -> dict[str, Any]:
    periods = {f"l{period}_db": round(value, 1) for period, value in levels.periods.items()}
    return {
        "events": len(events),
        "events_above_limit": sum(event.exceeds for event in events),
        "hours_above_limit": sum(row.exceeds for row in levels.hours),
        "laeq_db": levels.total and round(levels.total.laeq, 1),
        **periods,
        "lden_db": levels.lden and round(levels.lden, 1),
        "calibrated": levels.calibrated,
    }


def _flag(limit: float | None, *, exceeds: bool) -> str | None:
    """Return "yes" or "no"; None without a limit, which is an empty cell."""
    return None if limit is None else "yes" if exceeds else "no"


def _iso(unix_seconds: float) -> str:
    return local(unix_seconds).isoformat(timespec="seconds")
