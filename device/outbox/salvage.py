"""Salvage: the intact entries of a damaged outbox file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from device.outbox.entry import SELECT, VERSION, Entry, NotAnOutboxError, from_row


def intact_entries(path: Path) -> Iterator[Entry]:
    """Yield the intact entries of a damaged file: upwards to the damage, then from the other end down to it.

    Args:
        path: the file, with its write-ahead log beside it. No other process may use it. One of another version has no
            entries.

    Raises:
        sqlite3.Error, UnicodeDecodeError: it is no database.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        if database.execute("PRAGMA user_version").fetchone() != (VERSION,):
            return
        highest = 0
        for entry in _walk(database, f"{SELECT} ORDER BY sequence", 1):
            highest = entry.sequence
            yield entry
        for entry in _walk(database, f"{SELECT} ORDER BY sequence DESC", -1):
            if entry.sequence <= highest:
                return
            yield entry


def _walk(database: sqlite3.Connection, query: str, direction: int) -> Iterator[Entry]:
    """Yield the intact entries in the order of a query, up to damage of the table."""
    before = None
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        for row in database.execute(query):
            with contextlib.suppress(NotAnOutboxError):
                entry = from_row(row)
                if before is not None and (entry.sequence - before) * direction <= 0:
                    return  # a damaged page may lead back to earlier ones, for ever
                before = entry.sequence
                yield entry
