"""The outbox's table in SQLite: a file, or in memory while there is no disk. Raises what SQLite raises."""

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
"""How long another process may take to let go of the file."""
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
    """A message that waits.

    Attributes:
        sequence: its number among the node's event messages, from 1.
        message: the event message, with `sequence` in it.
        made: when it was made; `steady` counts from the boot that the message names.
    """

    sequence: int
    message: dict[str, Any]
    made: Stamp


@dataclass(frozen=True)
class Totals:
    """What a file holds.

    Attributes:
        last: the highest number that was ever stored.
        waiting: messages.
        bytes: of their text.
    """

    last: int
    waiting: int
    bytes: int


class SqliteTable:
    """Entries by their number, oldest first. Used from one thread at a time.

    Args:
        path: the database file; None keeps it in memory.

    Raises:
        sqlite3.Error: the file cannot be used, is no outbox, or is one of another version.
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
        """Close it; what it holds stays, where it is a file."""
        self._database.close()

    def totals(self) -> Totals:
        """Highest number, messages and bytes."""
        return Totals(*self._database.execute("SELECT last, waiting, bytes FROM totals").fetchone())

    def append(self, entries: Iterable[Entry], last: int) -> None:
        """Store entries in one transaction; once this returns, they are on the disk.

        Args:
            entries: with numbers that are not there.
            last: the highest number given so far, which may be that of a message that is gone already.
        """
        rows = [(each.sequence, json.dumps(each.message), each.made.steady, each.made.offset) for each in entries]
        with self._transaction("FULL"):
            self._database.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?)", rows)
            self._database.execute("UPDATE totals SET last = max(last, ?)", (last,))

    def after(self, sequence: int, limit: int) -> list[Entry]:
        """The oldest entries, at most `limit`, with a number above `sequence`."""
        rows = self._database.execute(
            "SELECT sequence, message, steady, offset FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (sequence, limit),
        )
        return [Entry(number, _decode(text), Stamp(steady, offset)) for number, text, steady, offset in rows]

    def delete(self, sequences: Iterable[int]) -> None:
        """Forget entries, also such as are not there."""
        # Unsynced: if a power cut undoes it, they are delivered twice, with the same id.
        with self._transaction("NORMAL"):
            self._database.executemany("DELETE FROM outbox WHERE sequence = ?", ((each,) for each in sequences))

    def delete_oldest(self, count: int) -> None:
        """Forget the oldest entries."""
        with self._transaction("NORMAL"):
            self._database.execute(
                "DELETE FROM outbox WHERE sequence IN (SELECT sequence FROM outbox ORDER BY sequence LIMIT ?)", (count,)
            )

    def _prepare(self) -> None:
        # Small pages: a message changes four, and each is written whole to the SD card (benchmarks/sd_writes.py).
        self._database.execute("PRAGMA page_size = 1024")
        # Exclusive: two daemons on one outbox would give the same numbers.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._database.executescript(_SCHEMA)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"version {version} of the outbox, this program knows {_VERSION}")
        self.totals()

    def _transaction(self, synchronous: str) -> "_Transaction":
        self._database.execute(f"PRAGMA synchronous = {synchronous}")
        return _Transaction(self._database)


class _Transaction:
    """BEGIN, and COMMIT or ROLLBACK."""

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
        raise sqlite3.DatabaseError("a message is garbled") from error
    return message
