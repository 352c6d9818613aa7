"""Database file: SQLite on a disk that may be full, damaged or absent. A damaged file is set aside and replaced."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from device.util.log_throttle import LogThrottle

_CURES = {
    sqlite3.SQLITE_FULL: "Free some space",
    sqlite3.SQLITE_READONLY: "Make it writable",
    sqlite3.SQLITE_PERM: "Make it writable",
    sqlite3.SQLITE_CANTOPEN: "Make its folder writable, or set STATE_DIRECTORY",
    sqlite3.SQLITE_BUSY: "End the other process that uses it",
    sqlite3.SQLITE_LOCKED: "End the other process that uses it",
    sqlite3.SQLITE_IOERR: "Check the disk",
    sqlite3.SQLITE_NOMEM: "Free some memory",
}
"""SQLite's codes for a file that cannot be used now, with the cure."""
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLite's codes for a damaged file. SQLITE_ERROR is a missing table. Any other code, as of a constraint, is a bug."""


class DatabaseUnavailableError(Exception):
    """Error for a file that cannot be used now. The message contains the reason and the cure.

    Attributes:
        is_full: True if the disk has no space left.
    """

    def __init__(self, message: str, *, is_full: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full


class DamagedFileError(Exception):
    """Error for a file with other content than its program writes. The message contains the fault."""


class Table(Protocol):
    """Open database."""

    def close(self) -> None:
        """Close the database."""


OpenTable = TypeVar("OpenTable", bound=Table)
Result = TypeVar("Result")


class DatabaseFile(Generic[OpenTable]):
    """Database file that is opened at its first use, and replaced by a new one if damaged. Used from one thread.

    Args:
        name: noun for the log, as in "history".
        path: the file.
        open_table: opens the file, and creates it if it does not exist. It may raise `DamagedFileError`.
        kept: number of damaged files that are kept: the newest ones.
        on_damage: called after a damaged file was set aside.
        log_throttle: logs a damaged file.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        open_table: Callable[[Path], OpenTable],
        kept: int,
        on_damage: Callable[[], None],
        log_throttle: LogThrottle,
    ) -> None:
        self._name = name
        self._path = path
        self._open_table = open_table
        self._kept = kept
        self._on_damage = on_damage
        self._log_throttle = log_throttle
        self._table: OpenTable | None = None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def execute(self, operation: Callable[[OpenTable], Result]) -> Result:
        """Execute an operation on the open database. A damaged file is replaced first.

        Raises:
            DatabaseUnavailableError: the file cannot be used now.
        """
        try:
            return self._execute_once(operation)
        except DamagedFileError as error:
            self._set_aside(error)
        try:
            return self._execute_once(operation)
        except DamagedFileError as error:
            raise DatabaseUnavailableError(f"a new file is damaged at once ({error}). Replace the disk") from error

    def _execute_once(self, operation: Callable[[OpenTable], Result]) -> Result:
        try:
            self._table = self._table or self._open_table(self._path)
            return operation(self._table)
        except OSError as error:
            raise DatabaseUnavailableError(f"cannot be used ({error}). Check the disk") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
            if code in _CURES:
                reason = f"cannot be used ({error}). {_CURES[code]}"
                raise DatabaseUnavailableError(reason, is_full=code == sqlite3.SQLITE_FULL) from error
            if code in _DAMAGE:
                raise DamagedFileError(str(error)) from error
            raise

    def _set_aside(self, error: DamagedFileError) -> None:
        """Rename a damaged file, so that a new one can be created."""
        self.close()
        path = self._path
        renamed = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        try:
            path.rename(renamed)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            for old in sorted(path.parent.glob(f"{path.name}.damaged-*"))[: -self._kept]:
                old.unlink()
        except OSError as problem:
            reason = f"damaged ({error}) and cannot be renamed ({problem}). Delete it"
            raise DatabaseUnavailableError(reason) from problem
        self._on_damage()
        self._log_throttle.warning(
            f"{self._name} {path}: damaged ({error}). It is kept as {renamed.name}, and a new file is created. "
            "Check the disk"
        )
