"""Database reader: a read-only view of a file that another process may write. It changes nothing."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from device.errors import UnavailableError
from device.util.database_file import DamagedFileError
from device.util.database_table import LOCK_SECONDS, decode_text


class DatabaseReader:
    """Read-only view of a database file; a context manager. Used from one thread.

    Every method of a subclass raises `UnavailableError` if the file is damaged or cannot be read.

    Args:
        name: noun for errors, as in "history".
        path: the file, as `open_database` creates it.
        version: version of its schema.
        absence: error for a file that does not exist, with the cure.
    """

    def __init__(self, name: str, path: Path, version: int, absence: str) -> None:
        self._name = name
        self._path = path
        self._version = version
        self._absence = absence

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            UnavailableError: there is none, or it cannot be read.
        """
        try:
            self._path.stat()
        except PermissionError as error:
            raise UnavailableError(f"{self._name} {self._path}: this user may not read it. Use sudo") from error
        except OSError as error:
            raise self._absent() from error
        with self._errors():
            self._database = sqlite3.connect(self._address(), uri=True, timeout=LOCK_SECONDS)
            self._database.text_factory = decode_text
        try:
            self._check_version()
        except UnavailableError:
            self._database.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise `UnavailableError` for the errors of a damaged file, and for SQLite's."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError, DamagedFileError) as error:
            raise UnavailableError(
                f"{self._name} {self._path}: cannot be read ({error}). A running daemon replaces a damaged file"
            ) from error

    def _check_version(self) -> None:
        with self._errors():
            (found,) = self._database.execute("PRAGMA user_version").fetchone()
            if found == 0:  # the daemon creates the file at this moment
                raise self._absent()
            if found != self._version:
                raise DamagedFileError(f"its format is version {found}, this program reads version {self._version}")

    def _absent(self) -> UnavailableError:
        return UnavailableError(f"{self._name} {self._path}: {self._absence}")

    def _address(self) -> str:
        """Return the address of the file for SQLite.

        Where nothing may be written, SQLite cannot create the index of the write-ahead log, without which it reads no
        file. If there is no such log, as no daemon runs, the file does not change and is read without one.
        """
        log = self._path.with_name(f"{self._path.name}-wal")
        is_fixed = not os.access(self._path.parent, os.W_OK) and not log.exists()
        return f"file:{quote(str(self._path))}?{'immutable=1' if is_fixed else 'mode=ro'}"
