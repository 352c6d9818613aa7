"""`earshot history`: past events of this machine, or their number by hour or day."""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from device.cli.output import print_json, print_note
from device.config.paths import readable_state
from device.errors import EXIT_DONE, InputError
from device.history.reader import HistoryReader
from device.history.table import HISTORY_FILE
from device.util.local_time import days, hours, local, local_of
from device.util.text import did_you_mean, plain_term, quoted, slug

_COLUMNS = (
    "start_time",
    "end_time",
    "duration_seconds",
    "vocabulary",
    "label",
    "confidence",
    "level_dbfs",
    "laeq_db",
    "lamax_db",
    "rise_db",
    "level_calibrated",
    "gate",
    "bundle",
    "clock_synced",
    "sequence",
    "event_id",
    "node_id",
)
"""Columns of `--csv`: fields of the message that fit into a cell."""
_NO_END = float("inf")


@dataclass(frozen=True)
class _Count:
    """Number of events in one hour or day.

    Attributes:
        start: first moment, Unix seconds.
        end: moment after the last one, Unix seconds.
        labels: number of events for each label that occurs.
    """

    start: float
    end: float
    labels: dict[str, int]

    @property
    def events(self) -> int:
        """Number of all events."""
        return sum(self.labels.values())


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each event, or for each hour or day; return the exit code.

    Raises:
        InputError: the span ends before it begins.
        UnavailableError: there is no history, or it cannot be read.
    """
    since, until = arguments.since, _NO_END if arguments.until is None else arguments.until
    if until <= since:
        raise InputError("history: --until is not after --since. Set a later --until, or an earlier --since")
    with HistoryReader(readable_state() / HISTORY_FILE) as reader:
        labels = resolve_labels(arguments.label, reader)
        if arguments.label and not labels:
            return EXIT_DONE
        if arguments.by is None:
            _print_events(reader.events(since, until, labels), arguments)
        else:
            _print_counts(_count(reader, since, until, labels, arguments.by), arguments)
    return EXIT_DONE


def resolve_labels(names: list[str], reader: HistoryReader) -> list[str]:
    """Return the labels of the history with these names, in any case or as slugs. Note a name without an event."""
    if not names:
        return []
    known = reader.labels()
    forms = {form: label for label in known for form in (slug(label), plain_term(label))}
    labels = []
    for name in names:
        if label := forms.get(plain_term(name)) or forms.get(slug(name)):
            labels.append(label)
        else:
            suggestion = f". {did_you_mean(name, known)}" if known else ""
            print_note(f"{quoted(name)}: the history contains no event of this label{suggestion}")
    return labels


def _print_events(messages: Iterator[dict[str, Any]], arguments: argparse.Namespace) -> None:
    if arguments.csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(_COLUMNS)
        table.writerows([_cell(name, message.get(name)) for name in _COLUMNS] for message in messages)
        return
    for message in messages:
        if arguments.json:
            print_json(message)
        else:
            print(_describe(message))


def _describe(message: dict[str, Any]) -> str:
    start = local_of(message["start_time"])
    unsynced = "" if message["clock_synced"] else "  (clock was not set)"
    return (
        f"{start:%Y-%m-%d %H:%M:%S}  {message['label']:<16}  {message['confidence']:4.0%}  "
        f"{message['duration_seconds']:6.1f} s  {message['level_dbfs']:4.0f} dBFS  {message['event_id']}{unsynced}"
    )


def _count(reader: HistoryReader, since: float, until: float, labels: list[str], by: str) -> list[_Count]:
    """Count the events of each whole hour or day of a span, from the first event of the history to now."""
    extent = reader.extent()
    if extent is None:
        return []
    first, last = extent
    since, until = max(since, first), min(until, max(time.time(), last + 1))
    if until <= since:
        return []
    bounds = (hours if by == "hour" else days)(since, until)
    counted = reader.counts(bounds, labels)
    return [_Count(start, end, found) for (start, end), found in zip(pairwise(bounds), counted, strict=True)]


def _print_counts(counts: list[_Count], arguments: argparse.Namespace) -> None:
    if arguments.csv:
        labels = sorted({label for count in counts for label in count.labels})
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(["start_time", "events", *labels])
        table.writerows(
            [_iso(local(count.start)), count.events, *(count.labels.get(label, 0) for label in labels)]
            for count in counts
        )
        return
    for count in counts:
        if arguments.json:
            start, end = _iso(local(count.start)), _iso(local(count.end))
            print_json({"start_time": start, "end_time": end, "events": count.events, "labels": count.labels})
        else:
            print(_describe_count(count, arguments.by))


def _describe_count(count: _Count, by: str) -> str:
    start = local(count.start)
    # The offset from UTC tells the two hours apart that have one name when the clock is set back.
    when = f"{start:%Y-%m-%d %H:%M %z}" if by == "hour" else f"{start:%Y-%m-%d %a}"
    labels = sorted(count.labels.items(), key=lambda item: (-item[1], item[0]))
    return f"{when}  {count.events:5}  {', '.join(f'{label} {number}' for label, number in labels)}".rstrip()


def _cell(name: str, value: Any) -> Any:
    if name in {"start_time", "end_time"}:
        return _iso(local_of(value))
    return json.dumps(value) if isinstance(value, bool) else value


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
