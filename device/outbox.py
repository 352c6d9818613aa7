"""The outbox: what happened stays on disk until the broker has confirmed it."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from device.errors import UnavailableError


@dataclass(frozen=True)
class Entry:
    """A message that waits.

    Attributes:
        sequence: its number among the node's event messages, from 1.
        message: the event message, with `sequence` in it.
    """

    sequence: int
    message: dict[str, Any]


class Outbox:
    """A queue in SQLite that survives a power cut. Used from one thread at a time; a context manager.

    Args:
        path: the database file; its folder is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        """Open the queue, with what an earlier run left in it.

        Raises:
            UnavailableError: the file cannot be written, or is no outbox.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            # FULL: each commit reaches the card before we go on, so that a power cut loses no event.
            self._database.execute("PRAGMA synchronous = FULL")
            # AUTOINCREMENT never gives a number again, not even of a row that was deleted.
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, message TEXT NOT NULL)"
            )
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(
                f"outbox {self._path}: cannot be used ({error}). Make its folder writable, or set STATE_DIRECTORY"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def __len__(self) -> int:
        """Messages that wait."""
        (count,) = self._database.execute("SELECT count(*) FROM outbox").fetchone()
        return int(count)

    def append(self, message: dict[str, Any]) -> Entry:
        """Number a message and store it; once this returns, it is on disk."""
        cursor = self._database.execute("INSERT INTO outbox (message) VALUES (?)", (json.dumps(message),))
        return self._entry(int(cursor.lastrowid or 0), message)

    def after(self, sequence: int, limit: int) -> list[Entry]:
        """The oldest messages, at most `limit`, with a number above `sequence`."""
        rows = self._database.execute(
            "SELECT sequence, message FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (sequence, limit),
        )
        return [self._entry(sequence, json.loads(message)) for sequence, message in rows]

    def delete(self, sequence: int) -> None:
        """Forget a message that the broker has confirmed."""
        self._database.execute("DELETE FROM outbox WHERE sequence = ?", (sequence,))

    @staticmethod
    def _entry(sequence: int, message: dict[str, Any]) -> Entry:
        return Entry(sequence, message | {"sequence": sequence})
