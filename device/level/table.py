"""SQLite table of minute levels. Raises SQLite's own errors."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.level.minutes import MINUTE_SECONDS, STORED_CLASS_DB, MinuteLevel
from device.level.statistics import SILENCE_DB
from device.util.database_file import DamagedFileError
from device.util.database_reader import DatabaseReader
from device.util.database_table import open_database, transaction

LEVELS_FILE = "levels.db"
"""Name of the file in the state directory."""
_VERSION = 1
_SCALE = 100
"""Levels are stored as hundredths of a dB, which take two bytes."""
_CLASSES = round((10.0 - SILENCE_DB) / STORED_CLASS_DB)
_COLUMNS = "minute, seconds, laeq, lamax, first_class, counts, calibration, clock_synced"
_SCHEMA = """
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
"""


class LevelTable:
    """Table of minute levels, as its writer uses it. Used from one thread.

    Args:
        path: the database file; created if missing.

    Raises:
        sqlite3.Error, OSError, UnicodeDecodeError, DamagedFileError: see `open_database`.
    """

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, _SCHEMA, _VERSION)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def store(self, minutes: Iterable[MinuteLevel], *, replace_oldest: bool = False, oldest: int | None = None) -> None:
        """Store minutes in one transaction. A minute that is stored already is merged with its new part.

        Args:
            minutes: to store.
            replace_oldest: True to delete the oldest minute for each new one, so that the file does not grow.
            oldest: minutes before this one are deleted; None deletes none. In the same transaction, because minutes
                that are stored again after an error would be merged with themselves.
        """
        with transaction(self._database):
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
            if oldest is not None:
                self._database.execute("DELETE FROM minutes WHERE minute < ?", (oldest,))


class LevelReader(DatabaseReader):
    """Read-only view of the minute levels; see `DatabaseReader`.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        absence = (
            "there are none. The daemon stores them, unless level.enabled is false or level.days is 0. "
            "Use sudo for those of the service"
        )
        super().__init__("levels", path, _VERSION, absence)

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
        bounds = (since / MINUTE_SECONDS, until / MINUTE_SECONDS)
        with self._errors():
            return self._database.execute(query, bounds).fetchone() is not None


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
