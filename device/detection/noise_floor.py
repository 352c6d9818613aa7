"""The noise floor: what a place sounds like while nothing happens, band by band, and how far it varies.

A sound that stands out in one band of the spectrum (a horn, a far siren) is found long before it adds anything
to the level of the whole. It may do so at once and by much, as a bark does, or by less for a while, as an engine
does; key clicks in an office do neither.

The idea is that of spectral noise estimation as R. Martin describes it ("Noise power spectral density estimation
based on optimal smoothing and minimum statistics", IEEE Trans. Speech and Audio Processing 9(5), 2001), reduced to a
tracker per band that costs some microseconds a block.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from device.config.models import NoiseFloorConfig
from device.types import FULL_SCALE, Samples

GROUP = 4
"""Blocks that are judged together: 120 ms, at a quarter of the cost and half the scatter of one by one."""
_LASTING_GROUPS = 3
"""Groups that follow one another, 0.36 s, in which a smaller rise is as good as a sudden one."""
_OCTAVES_FROM_HZ = 100.0
_DEVIATION_SHARE = 0.04
"""Share of the way that the deviation moves to each group's: it takes three seconds."""
_USUAL_SHARE = 4 / 7
"""Of what opens the gate: what rises by more tells nothing of how the place itself varies."""
_FALL_SHARE = 0.12
"""Share of the way down to a quieter group: the floor finds silence in a second or two."""


class NoiseFloor:
    """Level and deviation of each band, which follow the place.

    Args:
        config: thresholds and rates.
        sample_rate: Hz.
        block_length: samples in a block.
    """

    def __init__(self, config: NoiseFloorConfig, sample_rate: int, block_length: int) -> None:
        self._config = config
        self._group_seconds = GROUP * block_length / sample_rate
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block_length) / block_length)
        self._hann = (hann / FULL_SCALE).astype(np.float32)
        frequencies = np.fft.rfftfreq(block_length, 1 / sample_rate)
        octaves = _OCTAVES_FROM_HZ * 2.0 ** np.arange(16)
        edges = [config.high_pass_hz, *octaves[(octaves > 1.5 * config.high_pass_hz) & (octaves < sample_rate / 3)]]
        self._first_bins = np.searchsorted(frequencies, edges)
        self._group = np.zeros((GROUP, block_length), np.int16)
        self._filled = 0
        self._lasting = np.zeros(len(edges), np.int64)
        self._level: NDArray[np.float64] | None = None
        self._judged_floor = self._floor = np.zeros(len(edges))
        self._remembered = self._floor
        self._deviation = np.full(len(edges), 2.0)

    def feed(self, samples: Samples, rise_db_per_second: float) -> bool | None:
        """Take a block, shape (block_length,), int16; every fourth one, judge the four and follow them.

        Args:
            samples: the block.
            rise_db_per_second: how fast the floor may rise; at 0 it stays as it is.

        Returns:
            Whether the four blocks stand out from the floor in any band; None for a block that is not the fourth.
        """
        self._group[self._filled] = samples
        self._filled = (self._filled + 1) % GROUP
        if self._filled:
            return None
        level = self._band_levels()
        if self._level is None:
            self._floor = level
        self._level = level
        self._judged_floor = self._floor
        above = level - self._floor
        config = self._config
        threshold = np.clip(config.deviations * self._deviation, config.level_db, config.maximum_db)
        self._lasting = np.where(above >= config.lasting_share * threshold, self._lasting + 1, 0)
        stands_out = bool(((above >= threshold) | (self._lasting >= _LASTING_GROUPS)).any())
        if rise_db_per_second:
            self._follow(above, above < _USUAL_SHARE * threshold, rise_db_per_second * self._group_seconds)
        return stands_out

    def rise_db(self) -> float:
        """How far the four blocks that were judged last rise above the floor of that time, all bands together."""
        return 0.0 if self._level is None else _total_db(self._level) - _total_db(self._judged_floor)

    def interrupt(self) -> None:
        """Forget the group that was begun, and what lasted: what comes next is judged by itself."""
        self._filled = 0
        self._lasting[:] = 0

    def remember(self) -> None:
        """Keep the floor as it is now, before a sound that may turn out to have a name."""
        self._remembered = self._floor

    def recall(self) -> None:
        """Go back to the remembered floor: what was learnt since was not the place."""
        self._floor = np.minimum(self._floor, self._remembered)

    def _band_levels(self) -> NDArray[np.float64]:
        """Mean power of the group in each band, dB."""
        spectrum = scipy.fft.rfft(self._group * self._hann, axis=1)
        power = np.add.reduceat((spectrum.real**2 + spectrum.imag**2).sum(axis=0), self._first_bins)
        return np.asarray(10.0 * np.log10(power + 1e-9), np.float64)

    def _follow(self, above: NDArray[np.float64], usual: NDArray[np.bool_], most: float) -> None:
        """Move the floor: down by a share, up by at most so many dB; and the deviation, by what is usual."""
        self._floor = self._floor + np.where(above > 0, np.minimum(above, most), _FALL_SHARE * above)
        self._deviation += np.where(usual, _DEVIATION_SHARE * (np.abs(above) - self._deviation), 0.0)


def _total_db(bands: NDArray[np.float64]) -> float:
    """Power of all bands together, dB, of their levels in dB."""
    return 10.0 * math.log10(float(np.sum(10.0 ** (bands / 10.0))))
