"""Levels of a minute: what is published, and what is stored for hours, days and the noise diary."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.level.statistics import CLASS_DB, SILENCE_DB, LevelStatistics, SoundLevel, decibels, exceeded

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
        lceq: equivalent C-weighted level, dBFS(C).
        counts: samples of the time-weighted level in classes of 0.5 dB from -140 dB, shape (300,), int64.
        calibration_db: offset to dB(A) that was valid then; None without a calibration.
        clock_synced: whether network time had set the clock.
    """

    minute: int
    seconds: float
    laeq: float
    lamax: float
    lceq: float
    counts: NDArray[np.int64]
    calibration_db: float | None
    clock_synced: bool

    @property
    def start_time(self) -> float:
        """Start of the minute, Unix seconds."""
        return float(self.minute * MINUTE_SECONDS)

    def merged(self, other: MinuteLevel) -> MinuteLevel:
        """Return the levels of this part of a minute and of another: a daemon that started again measures two."""
        level = combine([self, other])
        return MinuteLevel(
            self.minute,
            level.seconds,
            level.laeq,
            level.lamax,
            level.lceq,
            self.counts + other.counts,
            other.calibration_db,
            self.clock_synced and other.clock_synced,
        )


def minute_level(
    minute: int, level: SoundLevel, statistics: LevelStatistics, calibration_db: float | None, *, clock_synced: bool
) -> MinuteLevel:
    """Make the record of a minute from its statistics and their result."""
    counts = statistics.counts.reshape(-1, _MERGED_CLASSES).sum(axis=1)
    return MinuteLevel(minute, level.seconds, level.laeq, level.lamax, level.lceq, counts, calibration_db, clock_synced)


def combine(minutes: Iterable[MinuteLevel], *, calibrated: bool = False) -> SoundLevel:
    """Compute the levels of several minutes together, as if they were one span.

    LAeq, LCeq and LAmax are those of the whole span. The percentiles come from the classes of 0.5 dB.

    Args:
        minutes: at least one.
        calibrated: True for levels in dB(A), by the calibration of each minute. Every minute must have one.
    """
    seconds = a_energy = c_energy = 0.0
    lamax = -math.inf
    shifted: dict[float, NDArray[np.int64]] = {}
    for each in minutes:
        offset = (each.calibration_db or 0.0) if calibrated else 0.0
        seconds += each.seconds
        a_energy += each.seconds * 10 ** ((each.laeq + offset) / 10)
        c_energy += each.seconds * 10 ** ((each.lceq + offset) / 10)
        lamax = max(lamax, each.lamax + offset)
        shifted[offset] = shifted[offset] + each.counts if offset in shifted else each.counts
    la10, la50, la90 = (_exceeded(shifted, share) for share in (0.1, 0.5, 0.9))
    return SoundLevel(seconds, decibels(a_energy / seconds), lamax, la10, la50, la90, decibels(c_energy / seconds))


def _exceeded(shifted: dict[float, NDArray[np.int64]], share: float) -> float:
    """Compute a percentile of distributions with calibrations of their own, on the scale of the last one."""
    reference = next(reversed(shifted))
    counts = np.zeros(len(shifted[reference]), np.int64)
    for offset, each in shifted.items():
        classes = round((offset - reference) / STORED_CLASS_DB)
        occupied = np.flatnonzero(each)
        np.add.at(counts, np.clip(occupied + classes, 0, len(counts) - 1), each[occupied])
    return reference + exceeded(counts, STORED_CLASS_DB, SILENCE_DB, share)
