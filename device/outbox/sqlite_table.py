"""SQLite table of the outbox, in a file, or in memory while the disk is unavailable. Raises SQLite's own errors."""

import contextlib
import functools
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device.outbox.entry import (
    LARGEST_SEQUENCE,
    SELECT,
    VERSION,
    Entry,
    NotAnOutboxError,
    from_row,
    to_row,
)
from device.util.database_table import decode_text, roll_back, transaction
from device.util.text import one_line

_WAL_BYTES = 4 * 1024 * 1024
_LOCK_SECONDS = 1.0
"""Time to wait until another process releases the file."""
_CHECKED_PAGES = 16_000
"""Pages of the largest file that is checked when it is opened."""
_COPIES = 2
"""Rows of the totals."""
_SCHEMA = """
    CREATE TABLE outbox (
        sequence INTEGER PRIMARY KEY, message TEXT NOT NULL, steady REAL NOT NULL, offset REAL NOT NULL
    );
    -- Kept up by the triggers, as counting would read the whole file. In two rows, so that a changed byte shows.
    CREATE TABLE totals (last INTEGER NOT NULL, waiting INTEGER NOT NULL, bytes INTEGER NOT NULL);
    CREATE TRIGGER came AFTER INSERT ON outbox BEGIN
        UPDATE totals SET last = max(last, new.sequence), waiting = waiting + 1, bytes = bytes + length(new.message);
    END;
    CREATE TRIGGER went AFTER DELETE ON outbox BEGIN
        UPDATE totals SET waiting = waiting - 1, bytes = bytes - length(old.message);
    END;
"""
_CREATE = f"BEGIN IMMEDIATE; {_SCHEMA} INSERT INTO totals VALUES (0, 0, 0); PRAGMA user_version = {VERSION}; COMMIT;"


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
        UnicodeDecodeError: the same, as Python's module cannot decode SQLite's message about a damaged name.
    """

    def __init__(self, path: Path | None) -> None:
        self._database = sqlite3.connect(
            path or ":memory:", timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.text_factory = decode_text
        try:
            self._prepare()
        except (sqlite3.Error, UnicodeDecodeError):
            self._database.close()
            raise

    def close(self) -> None:
        """Close the database. A file keeps its entries."""
        self._database.close()

    def totals(self) -> Totals:
        """Return the totals of the table. If their two rows differ, they are counted again."""
        rows = self._database.execute("SELECT last, waiting, bytes FROM totals").fetchall()
        if len(rows) != _COPIES or len(set(rows)) != 1:
            return self._count_again(rows)
        totals = Totals(*rows[0])
        if not all(isinstance(each, int) and 0 <= each <= LARGEST_SEQUENCE for each in rows[0]):
            raise NotAnOutboxError("its totals are damaged")
        return totals

    def append(self, entries: Iterable[Entry], last_sequence: int, instead_of: int | None = None) -> None:
        """Store entries in one transaction, synced to the disk before this returns.

        An entry that is already stored stays as it is: a commit may have reached the disk although it failed.

        Args:
            entries: entries with new sequence numbers.
            last_sequence: highest number issued so far. Its entry may have been deleted already.
            instead_of: lowest number of earlier entries that are replaced by these; None replaces none.
        """
        rows = [to_row(each) for each in entries]
        with self._transaction("FULL"):
            if instead_of is not None:
                self._database.execute("DELETE FROM outbox WHERE sequence >= ?", (instead_of,))
            self._database.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
            self._database.execute("UPDATE totals SET last = max(last, ?)", (last_sequence,))

    def count_from(self, sequence: int) -> int:
        """Return how many entries have this number or a higher one."""
        count: int = self._database.execute("SELECT count(*) FROM outbox WHERE sequence >= ?", (sequence,)).fetchone()[
            0
        ]
        return count

    def entries_after(self, sequence: int, limit: int) -> list[Entry]:
        """Return the oldest entries with a number above `sequence`, at most `limit`."""
        query = f"{SELECT} WHERE sequence > ? ORDER BY sequence LIMIT ?"
        # All at once: an open cursor would keep the file locked after `close`, as long as an error refers to it.
        rows = self._database.execute(query, (sequence, limit)).fetchall()
        return [from_row(row) for row in rows]

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
        self._create_or_check()
        self._check_pages()
        self.totals()

    def _create_or_check(self) -> None:
        """Create the tables in an empty file; else check that they are those of an outbox.

        Raises:
            NotAnOutboxError: they are not.
        """
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        found = _schema_of(self._database)
        if version == 0 and not found:
            self._database.executescript(_CREATE)
        elif version != VERSION:
            raise NotAnOutboxError(f"its format is version {version}, this program reads version {VERSION}")
        elif found != _expected_schema():
            raise NotAnOutboxError("its tables are not those of an outbox")

    def _check_pages(self) -> None:
        """Check the structure of a file that is read in a moment: a message in a damaged page would be lost.

        Raises:
            NotAnOutboxError: it is damaged.
        """
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        if pages <= _CHECKED_PAGES:
            (result,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
            if result != "ok":
                raise NotAnOutboxError(one_line(result.splitlines()[-1]))

    def _count_again(self, rows: list[tuple[Any, ...]]) -> Totals:
        """Count the entries, and store their totals in two rows. The last number is the highest that is plausible.

        A file of version 0.1.0 has one row; a new file, too.
        """
        known = [row[0] for row in rows if isinstance(row[0], int) and 0 <= row[0] <= LARGEST_SEQUENCE]
        with self._transaction("FULL"):
            highest, waiting, size = self._database.execute(
                "SELECT coalesce(max(sequence), 0), count(*), coalesce(sum(length(message)), 0) FROM outbox"
            ).fetchone()
            totals = Totals(max([highest, *known]), waiting, size)
            if totals.last_sequence > LARGEST_SEQUENCE:
                raise NotAnOutboxError("a sequence number is damaged")
            self._database.execute("DELETE FROM totals")
            self._database.executemany("INSERT INTO totals VALUES (?, ?, ?)", [tuple(vars(totals).values())] * _COPIES)
        return totals

    def _transaction(self, synchronous: str) -> contextlib.AbstractContextManager[None]:
        roll_back(self._database)  # within a transaction, the next setting would fail
        self._database.execute(f"PRAGMA synchronous = {synchronous}")
        return transaction(self._database)


@functools.cache
def _expected_schema() -> frozenset[str]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_SCHEMA)
        return _schema_of(database)


def _schema_of(database: sqlite3.Connection) -> frozenset[str]:
    """Return the statements that created tables and triggers, each with single spaces."""
    statements = database.execute("SELECT sql FROM sqlite_master").fetchall()
    return frozenset(" ".join(str(text).split()) for (text,) in statements)
