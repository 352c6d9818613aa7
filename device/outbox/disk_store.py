"""Disk store: the outbox's table in a bounded file, on a disk that may be full, damaged or absent."""

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from device.config.models import OutboxConfig
from device.errors import UnavailableError
from device.outbox.entry import Entry, NotAnOutboxError
from device.outbox.salvage import intact_entries
from device.outbox.sqlite_table import SqliteTable, Totals
from device.util.database_file import (
    DamagedFileError,
    DatabaseUnavailableError,
    error_code,
    is_damage,
    set_aside,
    unavailable,
)
from device.util.log_throttle import LogThrottle
from device.util.units import MEGABYTE

_MINIMUM_MESSAGES = 100
"""Messages that may be stored on a disk with too little free space, so that messages in flight are kept."""
_KEPT_DAMAGED_FILES = 2
"""Damaged files that are kept: the newest ones."""
_BATCH = 500

_T = TypeVar("_T")


class DiskStore:
    """Bounded database file on disk, replaced by a new one if damaged.

    Every method but `close` may raise `DatabaseUnavailableError`.

    Args:
        path: the database file.
        config: limits of messages and bytes, and the free space to keep.
        log_throttle: logs faults of the file.

    Attributes:
        dropped: messages that were dropped for lack of space or were in a damaged file.

    Raises:
        UnavailableError: another process uses it.
    """

    def __init__(self, path: Path, config: OutboxConfig, log_throttle: LogThrottle) -> None:
        self.dropped = 0
        self._path = path
        self._config = config
        self._log_throttle = log_throttle
        self._waiting = 0
        self._table: SqliteTable | None = None
        self._open_exclusively()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def totals(self) -> Totals:
        """Return the totals of the table."""
        totals = self._execute(SqliteTable.totals)
        self._waiting = totals.waiting
        return totals

    def append(self, entries: list[Entry], last_sequence: int, instead_of: int | None = None) -> None:
        """Store entries; drop the oldest ones above a limit. See `SqliteTable.append`."""

        def store(table: SqliteTable) -> None:
            self._drop_excess(table)
            table.append(entries, last_sequence, instead_of)

        self._execute(store)

    def count_from(self, sequence: int) -> int:
        """Return how many entries have this number or a higher one."""
        return self._execute(lambda table: table.count_from(sequence))

    def entries_after(self, sequence: int, limit: int) -> list[Entry]:
        """Return the oldest entries with a number above `sequence`, at most `limit`."""
        return self._execute(lambda table: table.entries_after(sequence, limit))

    def delete(self, sequences: Iterable[int]) -> None:
        """Delete entries by sequence number. Numbers without an entry are ignored."""
        self._execute(lambda table: table.delete(sequences))

    def _execute(self, operation: Callable[[SqliteTable], _T]) -> _T:
        """Execute an operation on the table. A damaged file is replaced first."""
        try:
            return self._execute_once(operation)
        except DamagedFileError as error:
            self._rename_damaged(error)
        try:
            return self._execute_once(operation)
        except DamagedFileError as error:
            raise DatabaseUnavailableError(f"a new file is damaged at once ({error}). Replace the disk") from error

    def _execute_once(self, operation: Callable[[SqliteTable], _T]) -> _T:
        try:
            self._table = self._table or SqliteTable(self._path)
            return operation(self._table)
        except OSError as error:
            raise unavailable(error) from error
        except (NotAnOutboxError, UnicodeDecodeError) as error:  # the latter for a damaged name in SQLite's message
            raise DamagedFileError(str(error)) from error
        except sqlite3.Error as error:
            if is_damage(error, self._path):
                raise DamagedFileError(str(error)) from error
            raise unavailable(error) from error  # whatever the code: no message may be lost

    def _open_exclusively(self) -> None:
        try:
            self._table = SqliteTable(self._path)
        except UnicodeDecodeError:
            return  # the first use reports it
        except sqlite3.Error as error:  # the first use reports all other errors
            if error_code(error) == sqlite3.SQLITE_BUSY:
                raise UnavailableError(
                    f"outbox {self._path}: another process uses it. End that process, or set another STATE_DIRECTORY"
                ) from error

    def _drop_excess(self, table: SqliteTable) -> None:
        """Delete the oldest messages, so that one more does not exceed the limits."""
        totals, limit = table.totals(), self._config.messages
        reason = f"outbox.messages is {limit}"
        if shutil.disk_usage(self._path.parent).free < self._config.free_megabytes * MEGABYTE:
            limit = min(limit, max(_MINIMUM_MESSAGES, totals.waiting))
            reason = f"its disk has less free space than outbox.free_megabytes, {self._config.free_megabytes:g}"
        excess = totals.waiting + 1 - limit
        if totals.bytes > self._config.megabytes * MEGABYTE:
            excess, reason = max(excess, 1), f"outbox.megabytes is {self._config.megabytes:g}"
        if excess > 0:
            table.delete_oldest(excess)
            self.dropped += excess
            self._log_throttle.warning(f"outbox {self._path}: full, the oldest messages are dropped: {reason}")

    def _rename_damaged(self, error: DamagedFileError) -> None:
        """Rename a damaged file, so that a new one can be created, and store its intact messages in the new one."""
        self.close()
        renamed = set_aside(self._path, error, _KEPT_DAMAGED_FILES)
        lost = max(self._waiting - self._salvage(renamed), 0)
        self.dropped += lost
        number = lost or ("none" if self._waiting else "unknown")
        self._log_throttle.warning(
            f"outbox {self._path}: damaged ({error}). Messages lost: {number}. "
            f"It is kept as {renamed.name}, and a new file is created. Check the disk"
        )
        self._waiting = 0

    def _salvage(self, renamed: Path) -> int:
        """Copy the intact messages of a damaged file to a new one; return their number."""
        copied = 0
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError, OSError):  # what cannot be copied is lost
            for batch in _batches(intact_entries(renamed)):
                self._table = self._table or SqliteTable(self._path)
                self._table.append(batch, batch[-1].sequence)
                copied += len(batch)
        return copied


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield lists of entries, so that a large file needs little memory."""
    iterator = iter(entries)
    while batch := list(itertools.islice(iterator, _BATCH)):
        yield batch
