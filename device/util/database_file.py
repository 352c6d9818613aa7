"""Database file: SQLite on a disk that may be full, damaged or absent. A damaged file is set aside and replaced."""

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from device.util.log_throttle import LogThrottle

_CHECK = "Check the disk"
_CURES = {
    sqlite3.SQLITE_FULL: "Free some space",
    sqlite3.SQLITE_READONLY: "Make it writable",
    sqlite3.SQLITE_PERM: "Make it writable",
    sqlite3.SQLITE_AUTH: "Make it writable",
    sqlite3.SQLITE_CANTOPEN: "Make its folder writable, or set STATE_DIRECTORY",
    sqlite3.SQLITE_BUSY: "End the other process that uses it",
    sqlite3.SQLITE_LOCKED: "End the other process that uses it",
    sqlite3.SQLITE_PROTOCOL: "End the other process that uses it",
    sqlite3.SQLITE_IOERR: _CHECK,
    sqlite3.SQLITE_NOMEM: "Free some memory",
}
"""SQLite's codes for a file that cannot be used now, with the cure."""
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""SQLite's codes for a damaged file."""
_MAYBE_DAMAGE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_ERROR}
"""SQLite's codes for a file with a header that SQLite has not written, among other reasons."""
_HEADER_LIMITS = ((18, 19, 2), (44, 48, 4))
"""First byte, end and largest value of two fields of the header: above, it is read-only, or has no known schema."""
_SUFFIXES = ("-wal", "-shm", "")
"""Suffixes of the files of a database: its write-ahead log, the index of it, and the database."""


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


def error_code(error: Exception) -> int:
    """Return SQLite's primary code of an error; 0 for an error of Python."""
    code: int = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF


def unavailable(error: sqlite3.Error | OSError) -> DatabaseUnavailableError:
    """Return the error of a file that cannot be used now, with its cure."""
    code = error_code(error)
    return DatabaseUnavailableError(
        f"cannot be used ({error}). {_CURES.get(code, _CHECK)}", is_full=code == sqlite3.SQLITE_FULL
    )


def is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Return whether an error of SQLite means that the file is damaged."""
    code = error_code(error)
    return code in _DAMAGE or (code in _MAYBE_DAMAGE and _has_impossible_header(path))


def set_aside(path: Path, error: DamagedFileError, kept: int) -> Path:
    """Rename a damaged database with its write-ahead log, so that a new one can be created. Return its new path.

    Args:
        path: the database file, which is closed.
        error: the damage.
        kept: number of damaged files that are kept: the newest ones.

    Raises:
        DatabaseUnavailableError: it cannot be renamed.
    """
    renamed = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    try:
        for suffix in _SUFFIXES:  # the main file last: without it, the other ones have no meaning
            if _with_suffix(path, suffix).exists():
                _with_suffix(path, suffix).rename(_with_suffix(renamed, suffix))
        for old in sorted(path.parent.glob(f"{path.name}.damaged-*Z"))[:-kept]:
            for suffix in _SUFFIXES:
                _with_suffix(old, suffix).unlink(missing_ok=True)
    except OSError as problem:
        reason = f"damaged ({error}) and cannot be renamed ({problem}). Delete it"
        raise DatabaseUnavailableError(reason) from problem
    return renamed


def _has_impossible_header(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return False
    return any(int.from_bytes(header[start:end], "big") > largest for start, end, largest in _HEADER_LIMITS)


def _with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


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

    def close_if_deleted(self) -> None:
        """Close the file if somebody has deleted it, so that nothing is written to the deleted file."""
        with contextlib.suppress(OSError):  # the next use reports the error
            if not self._path.exists():
                self.close()

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
        except UnicodeDecodeError as error:  # SQLite's message contains a damaged name
            raise DamagedFileError(str(error)) from error
        except OSError as error:
            raise unavailable(error) from error
        except sqlite3.Error as error:
            code = error_code(error)
            if code == sqlite3.SQLITE_ERROR or is_damage(error, self._path):  # the former: a table is missing
                raise DamagedFileError(str(error)) from error
            if code in _CURES:
                raise unavailable(error) from error
            raise  # any other code, as of a constraint, is a bug

    def _set_aside(self, error: DamagedFileError) -> None:
        self.close()
        renamed = set_aside(self._path, error, self._kept)
        self._on_damage()
        self._log_throttle.warning(
            f"{self._name} {self._path}: damaged ({error}). It is kept as {renamed.name}, and a new file is created. "
            f"{_CHECK}"
        )
