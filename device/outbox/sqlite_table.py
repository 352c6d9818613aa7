"""SQLite table of the outbox, in a file, or in memory while the disk is unavailable. Raises SQLite's own errors."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from device.util.clock import Stamp

_VERSION = 1
_WAL_BYTES = 4 * 1024 * 1024
_LOCK_SECONDS = 1.0
"""Time to wait until another process releases the file."""
_SCHEMA = """
    BEGIN IMMEDIATE;
    CREATE TABLE outbox (
        sequence INTEGER PRIMARY KEY, message TEXT NOT NULL, steady REAL NOT NULL, offset REAL NOT NULL
    );
    -- Kept up by the triggers, as counting would read the whole file.
    CREATE TABLE totals (last INTEGER NOT NULL, waiting INTEGER NOT NULL, bytes INTEGER NOT NULL);
    INSERT INTO totals VALUES (0, 0, 0);
    CREATE TRIGGER came AFTER INSERT ON outbox BEGIN
        UPDATE totals SET last = max(last, new.sequence), waiting = waiting + 1, bytes = bytes + length(new.message);
    END;
    CREATE TRIGGER went AFTER DELETE ON outbox BEGIN
        UPDATE totals SET waiting = waiting - 1, bytes = bytes - length(old.message);
    END;
    PRAGMA user_version = 1;
    COMMIT;
"""


@dataclass(frozen=True)
class Entry:
    """Event message in the outbox.

    Attributes:
        sequence: sequence number, from 1.
        message: the event message, including `sequence`.
        created: time of creation; `steady` counts from the boot of the message's `boot_id`.
    """

    sequence: int
    message: dict[str, Any]
    created: Stamp


@dataclass(frozen=True)
class Totals:
    """Totals of the table.

    Attributes:
        last_sequence: highest sequence number that was ever stored.
        waiting: number of messages.
        bytes: length of their JSON, which is ASCII, in bytes.
    """

    last_sequence: int
    waiting: int
    bytes: int


class SqliteTable:
    """Table of entries in the order of their sequence numbers. Used from one thread at a time.

    Args:
        path: the database file; None keeps the table in memory.

    Raises:
        sqlite3.Error: the file cannot be used, is no outbox, or has another version.
    """

    def __init__(self, path: Path | None) -> None:
        self._database = sqlite3.connect(
            path or ":memory:", timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except sqlite3.Error:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the database. A file keeps its entries."""
        self._database.close()

    def totals(self) -> Totals:
        """Return the totals of the table."""
        return Totals(*self._database.execute("SELECT last, waiting, bytes FROM totals").fetchone())

    def append(self, entries: Iterable[Entry], last_sequence: int) -> None:
        """Store entries in one transaction, synced to the disk before this returns.

        Args:
            entries: entries with new sequence numbers.
            last_sequence: highest number issued so far. Its entry may have been deleted already.
        """
        rows = [(each.sequence, json.dumps(each.message), each.created.steady, each.created.offset) for each in entries]
        with self._transaction("FULL"):
            self._database.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?)", rows)
            self._database.execute("UPDATE totals SET last = max(last, ?)", (last_sequence,))

    def entries_after(self, sequence: int, limit: int) -> list[Entry]:
        """Return the oldest entries with a number above `sequence`, at most `limit`."""
        rows = self._database.execute(
            "SELECT sequence, message, steady, offset FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (sequence, limit),
        )
        return [Entry(number, _decode(text), Stamp(steady, offset)) for number, text, steady, offset in rows]

    def delete(self, sequences: Iterable[int]) -> None:
        """Delete entries by sequence number. Numbers without an entry are ignored."""
        # Not synced: if a power cut undoes it, these messages are delivered twice, with the same id.
        with self._transaction("NORMAL"):
            self._database.executemany("DELETE FROM outbox WHERE sequence = ?", ((each,) for each in sequences))

    def delete_oldest(self, count: int) -> None:
        """Delete the oldest `count` entries."""
        with self._transaction("NORMAL"):
            self._database.execute(
                "DELETE FROM outbox WHERE sequence IN (SELECT sequence FROM outbox ORDER BY sequence LIMIT ?)", (count,)
            )

    def _prepare(self) -> None:
        # Small pages: a message changes four, and each whole page is written to the SD card (benchmarks/sd_writes.py).
        self._database.execute("PRAGMA page_size = 1024")
        # Exclusive: two daemons on one outbox would issue the same numbers.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._database.executescript(_SCHEMA)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"its format is version {version}, this program reads version {_VERSION}")
        self.totals()

    def _transaction(self, synchronous: str) -> "_Transaction":
        self._database.execute(f"PRAGMA synchronous = {synchronous}")
        return _Transaction(self._database)


class _Transaction:
    """Transaction: BEGIN, then COMMIT, or ROLLBACK after an error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> Self:
        self._database.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _decode(text: str) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise sqlite3.DatabaseError("a message is not valid JSON") from error
    return message
