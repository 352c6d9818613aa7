"""The outbox's file on its disk: full, damaged, or not there at all."""

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from device.config.models import OutboxConfig
from device.errors import UnavailableError
from device.outbox.sqlite_table import Entry, SqliteTable, Totals
from device.util.log_throttle import LogThrottle

_MEGABYTE = 1024 * 1024
_FEW = 100
"""Messages that may wait on a disk that has no room to spare: what is under way must pass through."""
_SET_ASIDE = 2
"""Damaged files that are kept, the newest ones."""
_NOT_DAMAGED = {
    sqlite3.SQLITE_FULL: "Free some space",
    sqlite3.SQLITE_READONLY: "Make it writable",
    sqlite3.SQLITE_PERM: "Make it writable",
    sqlite3.SQLITE_CANTOPEN: "Make its folder writable, or set STATE_DIRECTORY",
    sqlite3.SQLITE_BUSY: "End the other process that uses it",
    sqlite3.SQLITE_IOERR: "Check the disk",
    sqlite3.SQLITE_NOMEM: "Free some memory",
}
"""SQLite's codes for a file that cannot be used now, with the cure. All others mean that it holds something else."""

_T = TypeVar("_T")


class DiskUnavailableError(Exception):
    """The file cannot be used now. The message holds why, and the cure."""


class _DamagedError(Exception):
    """The file holds something else than an outbox."""


class DiskStore:
    """Bounded database file on disk, replaced by a new one if damaged.

    Every method but `close` may raise `DiskUnavailableError`.

    Args:
        path: the database file.
        config: how much may wait.
        complaints: where to tell what happens to it.

    Raises:
        UnavailableError: another process uses it.
    """

    def __init__(self, path: Path, config: OutboxConfig, log_throttle: LogThrottle) -> None:
        self.dropped = 0
        self._path = path
        self._config = config
        self._log_throttle = log_throttle
        self._waiting = 0
        self._file: SqliteTable | None = None
        self._refuse_to_share()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def totals(self) -> Totals:
        """Highest number, messages and bytes."""
        totals = self._act(SqliteTable.totals)
        self._waiting = totals.waiting
        return totals

    def append(self, entries: list[Entry], last: int) -> None:
        """Store entries; the oldest messages go where they are too many. See `SqliteTable.append`."""

        def store(file: SqliteTable) -> None:
            self._make_room(file)
            file.append(entries, last)

        self._act(store)

    def after(self, sequence: int, limit: int) -> list[Entry]:
        """The oldest entries, at most `limit`, with a number above `sequence`."""
        return self._act(lambda file: file.after(sequence, limit))

    def delete(self, sequences: Iterable[int]) -> None:
        """Forget entries, also such as are not there."""
        self._act(lambda file: file.delete(sequences))

    def _act(self, act: Callable[[SqliteTable], _T]) -> _T:
        try:
            return self._act_on_file(act)
        except _DamagedError as error:
            self._set_aside(error)
        try:
            return self._act_on_file(act)
        except _DamagedError as error:
            raise DiskUnavailableError(f"a new file is damaged at once ({error}). Replace the disk") from error

    def _act_on_file(self, act: Callable[[SqliteTable], _T]) -> _T:
        try:
            self._file = self._file or SqliteTable(self._path)
            return act(self._file)
        except OSError as error:
            raise DiskUnavailableError(f"cannot be used ({error}). Check the disk") from error
        except sqlite3.Error as error:
            code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in _NOT_DAMAGED:
                raise DiskUnavailableError(f"cannot be used ({error}). {_NOT_DAMAGED[code]}") from error
            raise _DamagedError(str(error)) from error

    def _refuse_to_share(self) -> None:
        try:
            self._file = SqliteTable(self._path)
        except sqlite3.Error as error:  # the first use tells, but for this one
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise UnavailableError(
                    f"outbox {self._path}: another process uses it. End that, or set STATE_DIRECTORY for one of them"
                ) from error

    def _make_room(self, file: SqliteTable) -> None:
        """Drop the oldest messages, so that one more keeps within the limits."""
        totals, limit = file.totals(), self._config.messages
        why = f"outbox.messages is {limit}"
        if shutil.disk_usage(self._path.parent).free < self._config.free_megabytes * _MEGABYTE:
            limit = min(limit, max(_FEW, totals.waiting))
            why = f"less than outbox.free_megabytes, {self._config.free_megabytes:g}, are free on its disk"
        excess = totals.waiting + 1 - limit
        if totals.bytes > self._config.megabytes * _MEGABYTE:
            excess, why = max(excess, 1), f"outbox.megabytes is {self._config.megabytes:g}"
        if excess > 0:
            file.delete_oldest(excess)
            self.dropped += excess
            self._log_throttle.warning(f"outbox {self._path}: full, the oldest messages are dropped: {why}")

    def _set_aside(self, error: _DamagedError) -> None:
        """Put a damaged file out of the way of a new one."""
        self.close()
        aside = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        try:
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            for old in sorted(self._path.parent.glob(f"{self._path.name}.damaged-*"))[:-_SET_ASIDE]:
                old.unlink()
        except OSError as problem:
            raise DiskUnavailableError(f"damaged ({error}) and cannot be put aside ({problem}). Delete it") from problem
        self.dropped += self._waiting
        self._log_throttle.warning(
            f"outbox {self._path}: damaged ({error}), with {self._waiting or 'perhaps some'} messages in it. "
            f"It is kept as {aside.name}, and a new one begun. Check the disk"
        )
        self._waiting = 0
