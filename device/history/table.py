"""SQLite table of the history, as its writer uses it. Raises SQLite's own errors."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from device.util.clock import Stamp
from device.util.database_file import DamagedFileError
from device.util.database_table import WAL_BYTES, open_database, transaction

HISTORY_FILE = "history.db"
"""Name of the file in the state directory."""
VERSION = 1
_PAGE_BYTES = 2048
"""Size of a page, bytes: a row fits into half of one. An event changes four pages, so small ones spare the SD card."""
_PRAGMAS = (
    f"page_size = {_PAGE_BYTES}",
    "auto_vacuum = INCREMENTAL",
    f"wal_autocheckpoint = {WAL_BYTES // _PAGE_BYTES}",
)
_SCHEMA = """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,             -- in the order of storage
        event_id TEXT NOT NULL UNIQUE,
        start_time REAL NOT NULL,           -- Unix seconds, as in the message
        end_time REAL NOT NULL,
        label TEXT NOT NULL,
        message TEXT NOT NULL,              -- the `end` message, as JSON
        steady REAL, offset REAL            -- stamp of the message if network time had not set the clock, else null
    );
    CREATE TABLE labels (label TEXT PRIMARY KEY) WITHOUT ROWID;  -- all labels ever: a search in `events` reads them all
    CREATE INDEX by_time ON events (start_time, label);
    CREATE INDEX uncorrected ON events (id) WHERE offset IS NOT NULL;
"""


@dataclass(frozen=True)
class EndedEvent:
    """Event for the history.

    Attributes:
        message: its `end` message, with a sequence number.
        created: time of the message.
    """

    message: dict[str, Any]
    created: Stamp


@dataclass(frozen=True)
class FileSize:
    """Size of the database file.

    Attributes:
        used_bytes: size of the pages with content, bytes.
        file_bytes: size of all pages, bytes. The others are free for new events.
    """

    used_bytes: int
    file_bytes: int


class HistoryTable:
    """Table of ended events. Used from one thread.

    Args:
        path: the database file; created if missing.

    Raises:
        sqlite3.Error, OSError, UnicodeDecodeError, DamagedFileError: see `open_database`.
    """

    def __init__(self, path: Path) -> None:
        # Synchronous is NORMAL: the events that a power cut may undo were published already.
        self._database = open_database(path, _SCHEMA, VERSION, _PRAGMAS)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def count(self) -> int:
        """Return the number of events."""
        (count,) = self._database.execute("SELECT count(*) FROM events").fetchone()
        return int(count)

    def size(self) -> FileSize:
        """Return the size of the file."""
        pages, free, page_bytes = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return FileSize((pages - free) * page_bytes, pages * page_bytes)

    def insert(self, events: Iterable[EndedEvent]) -> int:
        """Store events in one transaction. Return the number of new ones: an event that is stored already is kept.

        Args:
            events: messages with the fields of an `end` message.
        """
        rows = [_row(event) for event in events]
        labels = {(label,) for _, _, _, label, *_ in rows}
        with transaction(self._database):
            self._database.executemany("INSERT INTO labels VALUES (?) ON CONFLICT DO NOTHING", labels)
            return self._database.executemany(
                "INSERT INTO events (event_id, start_time, end_time, label, message, steady, offset) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING",
                rows,
            ).rowcount

    def delete_oldest(self, count: int) -> int:
        """Delete the `count` events that were stored first, and return their number."""
        with transaction(self._database):
            return self._database.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)", (count,)
            ).rowcount

    def delete_before(self, time: float, limit: int) -> int:
        """Delete events that started before a time, Unix seconds, at most `limit`; return their number."""
        with transaction(self._database):
            return self._database.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE start_time < ? LIMIT ?)", (time, limit)
            ).rowcount

    def uncorrected(self, limit: int) -> dict[int, EndedEvent]:
        """Return events from before network time set the clock, by their number in the table, at most `limit`."""
        rows = self._database.execute(
            "SELECT id, message, steady, offset FROM events WHERE offset IS NOT NULL ORDER BY id LIMIT ?", (limit,)
        )
        return {number: EndedEvent(decode(text), Stamp(steady, offset)) for number, text, steady, offset in rows}

    def correct(self, messages: dict[int, dict[str, Any]]) -> None:
        """Replace messages whose times are final now.

        Args:
            messages: the corrected messages by their number in the table.
        """
        with transaction(self._database):
            self._database.executemany(
                "UPDATE events SET start_time = ?, end_time = ?, message = ?, steady = NULL, offset = NULL "
                "WHERE id = ?",
                [(*_times(message), _encode(message), number) for number, message in messages.items()],
            )

    def shrink(self, pages: int) -> None:
        """Give free pages back to the disk, at most `pages`."""
        # Each step frees one page. `execute` makes one step of a statement without columns, `executescript` all.
        self._database.executescript(f"PRAGMA incremental_vacuum({pages})")

    def restart_log(self) -> None:
        """Copy the write-ahead log into the table, so that the log's space on the disk can be used again."""
        self._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def decode(text: str) -> dict[str, Any]:
    """Parse a message of the table.

    Raises:
        DamagedFileError: it is not valid JSON.
    """
    try:
        message: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise DamagedFileError("a message is not valid JSON") from error
    return message


def _encode(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _times(message: dict[str, Any]) -> tuple[float, float]:
    start, end = (datetime.fromisoformat(message[key]).timestamp() for key in ("start_time", "end_time"))
    return start, end


def _row(event: EndedEvent) -> tuple[str | float | None, ...]:
    message, created = event.message, event.created
    stamp = (None, None) if message["clock_synced"] else (created.steady, created.offset)
    return (message["event_id"], *_times(message), message["label"], _encode(message), *stamp)
