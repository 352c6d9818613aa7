"""History reader: events of a span, their number by label, one event by its id. It changes nothing.

Any number of readers, in any process, can read while the daemon writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from device.history.table import VERSION, decode
from device.util.database_reader import DatabaseReader

_PAGE_ROWS = 1000
"""Rows of one query. The writer's log cannot begin again during a query, so each must be short."""


@dataclass(frozen=True)
class Occurrence:
    """Event of the history without its message.

    Attributes:
        event_id: UUIDv7 of the event.
        label: label or AudioSet class.
        start_time: Unix seconds.
        end_time: Unix seconds.
    """

    event_id: str
    label: str
    start_time: float
    end_time: float


class HistoryReader(DatabaseReader):
    """Read-only view of the history; see `DatabaseReader`.

    An event belongs to the time at which it started. A span begins at its first time and ends before its last one, in
    Unix seconds.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        absence = (
            "there is none. The daemon creates it, unless history.enabled is false. Use sudo for that of the service"
        )
        super().__init__("history", path, VERSION, absence)

    def events(self, since: float, until: float, labels: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Yield the `end` messages of a span in the order of their start.

        Args:
            since: first time, Unix seconds.
            until: time after the last one.
            labels: labels to select; empty: all.
        """
        for page in self._pages("message", since, until, labels):
            with self._errors():
                messages = [decode(message) for (message,) in page]
            yield from messages

    def occurrences(self, since: float, until: float, labels: Sequence[str] = ()) -> Iterator[Occurrence]:
        """Yield the events of a span without their messages, in a fifth of the time; see `events`."""
        for page in self._pages("event_id, label, start_time, end_time", since, until, labels):
            yield from (Occurrence(*row) for row in page)

    def counts(self, bounds: Sequence[float], labels: Sequence[str] = ()) -> list[dict[str, int]]:
        """Count the events between successive times, by label.

        Args:
            bounds: rising times, Unix seconds, shape (n + 1,), as of `device.util.local_time.hours`.
            labels: labels to select; empty: all.

        Returns:
            For each of the n spans, the number of events of each label that occurs in it.
        """
        query = (
            "SELECT label, count(*) FROM events WHERE start_time >= ? AND start_time < ? "
            f"{_label_condition(labels)} GROUP BY label ORDER BY label"
        )
        with self._errors():
            return [dict(self._database.execute(query, (*span, *labels)).fetchall()) for span in pairwise(bounds)]

    def confidences(self, since: float, until: float) -> Iterator[tuple[str, str, float]]:
        """Yield vocabulary, label and confidence of each event of a span, in no order; faster than `events`."""
        query = (
            "SELECT json_extract(message, '$.vocabulary'), label, json_extract(message, '$.confidence') "
            "FROM events WHERE start_time >= ? AND start_time < ?"
        )
        with self._errors():
            rows = self._database.execute(query, (since, until)).fetchall()
        yield from rows

    def event(self, event_id: str) -> dict[str, Any] | None:
        """Return the `end` message of an event; None if it is not in the history."""
        with self._errors():
            row = self._database.execute("SELECT message FROM events WHERE event_id = ?", (event_id,)).fetchone()
            return None if row is None else decode(row[0])

    def labels(self) -> list[str]:
        """Return all labels that the history contains or has contained, sorted."""
        with self._errors():
            return [label for (label,) in self._database.execute("SELECT label FROM labels ORDER BY label")]

    def extent(self) -> tuple[float, float] | None:
        """Return the start of the first and of the last event, Unix seconds; None without events."""
        with self._errors():
            # Two queries, because SQLite answers only one of min and max from an index.
            (first,) = self._database.execute("SELECT min(start_time) FROM events").fetchone()
            (last,) = self._database.execute("SELECT max(start_time) FROM events").fetchone()
        return None if first is None else (first, last)

    def _pages(
        self, columns: str, since: float, until: float, labels: Sequence[str]
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a span in the order of their start, some at a time."""
        query = (
            f"SELECT start_time, label, id, {columns} FROM events WHERE (start_time, label, id) > (?, ?, ?) "
            f"AND start_time < ? {_label_condition(labels)} ORDER BY start_time, label, id LIMIT {_PAGE_ROWS}"
        )
        last: tuple[float, str, int] = (since, "", 0)
        while True:
            with self._errors():
                rows = self._database.execute(query, (*last, until, *labels)).fetchall()
            yield [row[3:] for row in rows]
            if len(rows) < _PAGE_ROWS:
                return
            last = rows[-1][:3]


def _label_condition(labels: Sequence[str]) -> str:
    return f"AND label IN ({', '.join('?' * len(labels))})" if labels else ""
