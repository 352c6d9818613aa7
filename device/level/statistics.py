"""Level statistics: LAeq, LCeq, LAmax and percentiles of a span, in fixed memory."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.level.meter import Steps

SILENCE_DB = -140.0
"""Level of digital silence, dB relative to full scale: below the rounding of 16 bits."""
_LOUDEST_DB = 10.0
CLASS_DB = 0.02
"""Width of a class of levels, dB."""
_CLASSES = round((_LOUDEST_DB - SILENCE_DB) / CLASS_DB)
_SAMPLE_STEPS = 10
"""Steps between two samples of the time-weighted level for the percentiles: 50 ms."""
PERCENTILES = (10, 50, 90)
_QUEUED_PARTS = 50
"""Parts of samples that are counted together."""


@dataclass(frozen=True)
class SoundLevel:
    """Levels of a span, dB relative to full scale, A-weighted: dBFS(A). A calibration is a constant offset.

    Attributes:
        seconds: measured sound, s.
        laeq: equivalent level: that of the mean square.
        lamax: highest time-weighted level.
        la10: level that is exceeded in 10 % of the time.
        la50: the same for 50 %.
        la90: the same for 90 %: the background.
        lceq: equivalent C-weighted level, dBFS(C); None if it is not measured.
    """

    seconds: float
    laeq: float
    lamax: float
    la10: float
    la50: float
    la90: float
    lceq: float | None = None


def decibels(square: float) -> float:
    """Convert a mean square, relative to full scale 1, to dB; at least -140."""
    return max(SILENCE_DB, 10 * math.log10(square)) if square > 0 else SILENCE_DB


class LevelStatistics:
    """Sums, maximum and distribution of the levels of a span.

    Attributes:
        seconds: measured sound so far, s.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._counts = np.zeros(_CLASSES, np.int64)
        self._sampled: list[NDArray[np.float64]] = []
        self._a_energy = self._maximum = 0.0
        self._c_energy: float | None = None
        self._steps = 0

    def add(self, steps: Steps) -> None:
        """Add the next steps."""
        count = len(steps.a_squares)
        if count == 0:
            return
        self.seconds += count * steps.seconds
        self._a_energy += float(steps.a_squares.sum()) * steps.seconds
        if steps.c_square is not None:
            self._c_energy = (self._c_energy or 0.0) + steps.c_square * count * steps.seconds
        self._maximum = max(self._maximum, float(steps.averages.max()))
        self._sampled.append(steps.averages[(-self._steps - 1) % _SAMPLE_STEPS :: _SAMPLE_STEPS])
        self._steps += count
        if len(self._sampled) > _QUEUED_PARTS:
            self._count()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples of the time-weighted level, 20 a second, in classes of 0.02 dB from -140 dB, shape (7500,)."""
        self._count()
        return self._counts

    def result(self) -> SoundLevel | None:
        """Return the levels; None for less than one sample of the time-weighted level, 50 ms."""
        counts = self.counts
        if not counts.any():
            return None
        la10, la50, la90 = (exceeded(counts, CLASS_DB, SILENCE_DB, share / 100) for share in PERCENTILES)
        return SoundLevel(
            seconds=self.seconds,
            laeq=decibels(self._a_energy / self.seconds),
            lamax=decibels(self._maximum),
            la10=la10,
            la50=la50,
            la90=la90,
            lceq=None if self._c_energy is None else decibels(self._c_energy / self.seconds),
        )

    def _count(self) -> None:
        """Count the samples that wait: many at once take less time."""
        if self._sampled:
            np.add.at(self._counts, _class_of(np.concatenate(self._sampled)), 1)
            self._sampled = []


def _class_of(squares: NDArray[np.float64]) -> NDArray[np.int64]:
    levels = 10 * np.log10(np.maximum(squares, 10 ** (SILENCE_DB / 10)))
    classes: NDArray[np.int64] = np.clip((levels - SILENCE_DB) / CLASS_DB, 0, _CLASSES - 1).astype(np.int64)
    return classes


def exceeded(counts: NDArray[np.int64], class_db: float, lowest_db: float, share: float) -> float:
    """Compute the level that is exceeded in a share of the time, by interpolation within its class.

    Args:
        counts: samples in each class of levels, from the lowest, shape (classes,); at least one.
        class_db: width of a class, dB.
        lowest_db: lower edge of the first class, dB.
        share: 0 to 1.
    """
    below = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    target = (1 - share) * below[-1]
    index = min(int(np.searchsorted(below, target, side="right")) - 1, int(np.flatnonzero(counts)[-1]))
    within = (target - below[index]) / counts[index] if counts[index] else 0.0
    return float(lowest_db + class_db * (index + min(1.0, within)))
