"""SQLite table of minute levels. Raises SQLite's own errors."""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from device.errors import UnavailableError
from device.level.minutes import MINUTE_SECONDS, STORED_CLASS_DB, MinuteLevel
from device.level.statistics import SILENCE_DB
from device.util.database_file import DamagedFileError

LEVELS_FILE = "levels.db"
"""Name of the file in the state directory."""
_VERSION = 1
_WAL_BYTES = 250_000
_LOCK_SECONDS = 5.0
_SCALE = 100
"""Levels are stored as hundredths of a dB, which take two bytes."""
_CLASSES = round((10.0 - SILENCE_DB) / STORED_CLASS_DB)
_COLUMNS = "minute, seconds, laeq, lamax, first_class, counts, calibration, clock_synced"
_SCHEMA = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE minutes (
        minute INTEGER PRIMARY KEY,    -- Unix seconds / 60
        seconds INTEGER NOT NULL,      -- measured sound, hundredths of a second
        laeq INTEGER NOT NULL,         -- hundredths of a dBFS(A)
        lamax INTEGER NOT NULL,
        first_class INTEGER NOT NULL,  -- first class of the distribution: 0 begins at -140 dBFS(A), a class has 0.5 dB
        counts BLOB NOT NULL,          -- samples in each class from there, 16-bit integers, little-endian, by zlib
        calibration INTEGER,           -- hundredths of a dB from dBFS(A) to dB(A); null: uncalibrated
        clock_synced INTEGER NOT NULL
    );
    PRAGMA user_version = {_VERSION};
    COMMIT;
"""


class LevelTable:
    """Table of minute levels, as its writer uses it. Used from one thread.

    Args:
        path: the database file; created if missing.

    Raises:
        sqlite3.Error: the file cannot be used.
        DamagedFileError: it has another format.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            self._prepare()
        except (sqlite3.Error, DamagedFileError):
            self._database.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def store(self, minutes: Iterable[MinuteLevel], *, replace_oldest: bool = False) -> None:
        """Store minutes in one transaction. A minute that is stored already is merged with its new part.

        Args:
            minutes: to store.
            replace_oldest: True to delete the oldest minute for each new one, so that the file does not grow.
        """
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for each in minutes:
                if replace_oldest:
                    self._database.execute("DELETE FROM minutes WHERE minute = (SELECT min(minute) FROM minutes)")
                found = self._database.execute(
                    f"SELECT {_COLUMNS} FROM minutes WHERE minute = ?", (each.minute,)
                ).fetchone()
                row = _row(each if found is None else _minute(found).merged(each))
                self._database.execute(
                    f"INSERT OR REPLACE INTO minutes ({_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row
                )
            self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def delete_before(self, minute: int) -> None:
        """Delete the minutes before one."""
        self._database.execute("DELETE FROM minutes WHERE minute < ?", (minute,))

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo the last minutes
        self._database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._database.executescript(_SCHEMA)
        elif version != _VERSION:
            raise DamagedFileError(f"its format is version {version}, this program writes version {_VERSION}")


class LevelReader:
    """Read-only view of the minute levels; a context manager.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            UnavailableError: there is none, or it cannot be read.
        """
        if not self._path.is_file():
            raise self._absent()
        with self._errors():
            self._database = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=_LOCK_SECONDS)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:  # the daemon creates the file at this moment
                raise self._absent()
            if version != _VERSION:
                raise DamagedFileError(f"its format is version {version}, this program reads version {_VERSION}")
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _absent(self) -> UnavailableError:
        return UnavailableError(
            f"levels {self._path}: there are none. The daemon stores them, unless level.enabled is false or "
            "level.days is 0. Use sudo for those of the service"
        )

    def minutes(self, since: float, until: float) -> list[MinuteLevel]:
        """Return the minutes of a span, in order. Each takes 3 kB of memory, so read a long span in parts.

        Args:
            since: first time, Unix seconds.
            until: time after the last one.
        """
        query = f"SELECT {_COLUMNS} FROM minutes WHERE minute >= ? AND minute < ? ORDER BY minute"
        bounds = (since / MINUTE_SECONDS, until / MINUTE_SECONDS)
        with self._errors():
            return [_minute(row) for row in self._database.execute(query, bounds)]

    def has_calibrated(self, since: float, until: float) -> bool:
        """Return whether any minute of a span is calibrated; see `minutes`."""
        query = "SELECT 1 FROM minutes WHERE minute >= ? AND minute < ? AND calibration IS NOT NULL LIMIT 1"
        with self._errors():
            return (
                self._database.execute(query, (since / MINUTE_SECONDS, until / MINUTE_SECONDS)).fetchone() is not None
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise `UnavailableError` for SQLite's errors."""
        try:
            yield
        except (sqlite3.Error, DamagedFileError) as error:
            raise UnavailableError(
                f"levels {self._path}: cannot be read ({error}). A running daemon replaces a damaged file"
            ) from error


def _row(level: MinuteLevel) -> tuple[Any, ...]:
    occupied = np.flatnonzero(level.counts)
    first, last = (int(occupied[0]), int(occupied[-1])) if len(occupied) else (0, -1)
    return (
        level.minute,
        round(level.seconds * _SCALE),
        *(round(value * _SCALE) for value in (level.laeq, level.lamax)),
        first,
        zlib.compress(np.minimum(level.counts[first : last + 1], 0xFFFF).astype("<u2").tobytes()),
        None if level.calibration_db is None else round(level.calibration_db * _SCALE),
        int(level.clock_synced),
    )


def _minute(row: tuple[Any, ...]) -> MinuteLevel:
    minute, seconds, laeq, lamax, first, blob, calibration, synced = row
    counts: NDArray[np.int64] = np.zeros(_CLASSES, np.int64)
    try:
        stored = np.frombuffer(zlib.decompress(blob), "<u2")
    except (zlib.error, ValueError) as error:
        raise DamagedFileError(f"a distribution is damaged ({error})") from error
    if not 0 <= first <= len(counts) - len(stored):
        raise DamagedFileError("a distribution is out of its range")
    counts[first : first + len(stored)] = stored
    calibration_db = None if calibration is None else calibration / _SCALE
    return MinuteLevel(
        minute,
        seconds / _SCALE,
        laeq / _SCALE,
        lamax / _SCALE,
        counts,
        calibration_db,
        bool(synced),
    )
