"""Levels of a minute: what is published, and what is stored for hours, days and the noise diary."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.level.statistics import CLASS_DB, SILENCE_DB, LevelStatistics, SoundLevel, exceeded

MINUTE_SECONDS = 60
STORED_CLASS_DB = 0.5
"""Width of a class of the stored distribution, dB."""
_MERGED_CLASSES = round(STORED_CLASS_DB / CLASS_DB)


@dataclass(frozen=True)
class MinuteLevel:
    """Levels of a minute of Unix time, or of the measured part of it, dBFS(A).

    Attributes:
        minute: number of the minute: Unix seconds / 60.
        seconds: measured sound, s.
        laeq: equivalent level.
        lamax: highest time-weighted level.
        counts: samples of the time-weighted level in classes of 0.5 dB from -140 dB, shape (300,), int64.
        calibration_db: offset to dB(A) that was valid then; None without a calibration.
        clock_synced: whether network time had set the clock.
    """

    minute: int
    seconds: float
    laeq: float
    lamax: float
    counts: NDArray[np.int64]
    calibration_db: float | None
    clock_synced: bool

    @property
    def start_time(self) -> float:
        """Start of the minute, Unix seconds."""
        return float(self.minute * MINUTE_SECONDS)

    def merged(self, other: MinuteLevel) -> MinuteLevel:
        """Return the levels of this part of a minute and of another: a daemon that started again measures two."""
        total = LevelSum()
        total.add(self)
        total.add(other)
        level = total.result()
        assert level is not None
        return MinuteLevel(
            self.minute,
            level.seconds,
            level.laeq,
            level.lamax,
            self.counts + other.counts,
            other.calibration_db,
            self.clock_synced and other.clock_synced,
        )


def minute_level(
    minute: int, level: SoundLevel, statistics: LevelStatistics, calibration_db: float | None, *, clock_synced: bool
) -> MinuteLevel:
    """Make the record of a minute from its statistics and their result."""
    counts = statistics.counts.reshape(-1, _MERGED_CLASSES).sum(axis=1)
    return MinuteLevel(minute, level.seconds, level.laeq, level.lamax, counts, calibration_db, clock_synced)


class LevelSum:
    """Levels of several minutes together, as if they were one span, in fixed memory.

    LAeq and LAmax are those of the whole span. The percentiles come from classes of 0.5 dB, so they deviate by a
    few tenths of a dB.

    Args:
        calibrated: True for levels in dB(A), by the calibration of each minute, else dBFS(A).

    Attributes:
        seconds: measured sound so far, s.
    """

    def __init__(self, *, calibrated: bool = False) -> None:
        self.seconds = 0.0
        self._calibrated = calibrated
        self._energy = 0.0
        self._lamax = -math.inf
        self._counts: NDArray[np.int64] | None = None
        self._reference_db = 0.0

    def add(self, minute: MinuteLevel) -> None:
        """Add a minute. With `calibrated`, it must have a calibration."""
        offset = (minute.calibration_db or 0.0) if self._calibrated else 0.0
        self.seconds += minute.seconds
        self._energy += minute.seconds * 10 ** ((minute.laeq + offset) / 10)
        self._lamax = max(self._lamax, minute.lamax + offset)
        if self._counts is None:
            self._counts, self._reference_db = np.zeros_like(minute.counts), offset
        classes = round((offset - self._reference_db) / STORED_CLASS_DB)  # another calibration shifts the classes
        occupied = np.flatnonzero(minute.counts)
        np.add.at(self._counts, np.clip(occupied + classes, 0, len(self._counts) - 1), minute.counts[occupied])

    def result(self) -> SoundLevel | None:
        """Return the levels; None without a minute."""
        if self._counts is None:
            return None
        lowest = SILENCE_DB + self._reference_db
        la10, la50, la90 = (exceeded(self._counts, STORED_CLASS_DB, lowest, share) for share in (0.1, 0.5, 0.9))
        laeq = 10 * math.log10(self._energy / self.seconds)
        return SoundLevel(self.seconds, laeq, self._lamax, la10, la50, la90)
