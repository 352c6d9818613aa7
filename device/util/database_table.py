"""Database tables: the opening of a file of one version, and transactions. Raises SQLite's own errors."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from device.util.database_file import DamagedFileError

LOCK_SECONDS = 5.0
"""Time to wait until another process releases the file, s."""
WAL_BYTES = 250_000
"""Size to which the write-ahead log is cut after its content was copied into the table, bytes."""


def open_database(path: Path, schema: str, version: int, pragmas: tuple[str, ...] = ()) -> sqlite3.Connection:
    """Open a file for its writer, with a write-ahead log. Readers need no lock.

    Args:
        path: the file; it and its folder are created if missing.
        schema: statements that create the tables in a new file.
        version: version of the schema.
        pragmas: settings that must precede the first write, as in "auto_vacuum = INCREMENTAL".

    Raises:
        sqlite3.Error, OSError: the file cannot be used.
        UnicodeDecodeError: it is damaged; see `decode_text`.
        DamagedFileError: it has another version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
    database.text_factory = decode_text
    try:
        _prepare(database, schema, version, pragmas)
    except (sqlite3.Error, UnicodeDecodeError, DamagedFileError):
        database.close()
        raise
    return database


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit what the context does, or undo it after an error. After it, no transaction is open."""
    roll_back(database)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error is the one to report
            roll_back(database)
        raise


def roll_back(database: sqlite3.Connection) -> None:
    """Undo a transaction that is still open, as an earlier attempt at it failed."""
    if database.in_transaction:
        database.execute("ROLLBACK")


def decode_text(text: bytes) -> str:
    """Decode a text that SQLite stores. A damaged one may not be UTF-8; the module's own error for it has no code."""
    return text.decode(errors="replace")


def _prepare(database: sqlite3.Connection, schema: str, version: int, pragmas: tuple[str, ...]) -> None:
    for each in pragmas:
        database.execute(f"PRAGMA {each}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo the last rows, and damages no file
    database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found == 0:
        database.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {version}; COMMIT;")
    elif found != version:
        raise DamagedFileError(f"its format is version {found}, this program writes version {version}")
