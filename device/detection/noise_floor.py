"""Noise floor: level of each frequency band while nothing happens, with its mean deviation.

A sound that stands out in one band (a horn, a distant siren) is detected long before it raises the total level. A band
stands out by a large rise at once (a bark), or by a smaller rise that lasts (an engine). Key clicks in an office have
neither.

The method is spectral noise estimation as R. Martin describes it ("Noise power spectral density estimation based on
optimal smoothing and minimum statistics", IEEE Trans. Speech and Audio Processing 9(5), 2001), reduced to one tracker
per band. It costs some microseconds a block.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from device.config.models import NoiseFloorConfig
from device.types import FULL_SCALE, Samples

GROUP_BLOCKS = 4
"""Blocks that are analyzed together: 120 ms, at a quarter of the cost and half the scatter of single blocks."""
_LASTING_GROUPS = 3
"""Successive groups, 0.36 s, after which a smaller rise stands out like a sudden one."""
_OCTAVES_FROM_HZ = 100.0
"""Lower edge of the first octave band, Hz."""
_DEVIATION_SHARE = 0.04
"""Share by which the mean deviation moves toward the deviation of each group: its time constant is three seconds."""
_USUAL_SHARE = 4 / 7
"""Share of the required rise up to which a group updates the mean deviation. A larger rise is a sound, so it does not
show how much the place itself varies."""
_FALL_SHARE = 0.12
"""Share by which the floor moves down to a quieter group: it reaches silence within a second or two."""


class NoiseFloor:
    """Adaptive level and mean deviation of each band.

    Args:
        config: thresholds and rates.
        sample_rate: Hz.
        block_length: samples in a block.
    """

    def __init__(self, config: NoiseFloorConfig, sample_rate: int, block_length: int) -> None:
        self._config = config
        self._group_seconds = GROUP_BLOCKS * block_length / sample_rate
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block_length) / block_length)
        self._hann = (hann / FULL_SCALE).astype(np.float32)
        frequencies = np.fft.rfftfreq(block_length, 1 / sample_rate)
        octaves = _OCTAVES_FROM_HZ * 2.0 ** np.arange(16)
        edges = [config.high_pass_hz, *octaves[(octaves > 1.5 * config.high_pass_hz) & (octaves < sample_rate / 3)]]
        self._first_bins = np.searchsorted(frequencies, edges)
        self._group = np.zeros((GROUP_BLOCKS, block_length), np.int16)
        self._filled_blocks = 0
        self._lasting_groups = np.zeros(len(edges), np.int64)
        self._levels_db: NDArray[np.float64] | None = None
        self._reference_db = self._floor_db = np.zeros(len(edges))
        self._saved_floor_db = self._floor_db
        self._mean_deviations_db = np.full(len(edges), 2.0)

    def update(self, samples: Samples, rise_db_per_second: float) -> bool | None:
        """Add a block; after every fourth one, compare the group of four with the floor, and adapt the floor.

        Args:
            samples: the block, shape (block_length,), int16.
            rise_db_per_second: largest rate at which the floor may rise, dB/s; at 0 the floor does not adapt.

        Returns:
            True if the group stands out from the floor in any band; None while the group is incomplete.
        """
        self._group[self._filled_blocks] = samples
        self._filled_blocks = (self._filled_blocks + 1) % GROUP_BLOCKS
        if self._filled_blocks:
            return None
        levels_db = self._band_levels_db()
        if self._levels_db is None:
            self._floor_db = levels_db
        self._levels_db = levels_db
        self._reference_db = self._floor_db
        rises_db = levels_db - self._floor_db
        config = self._config
        required_db = np.clip(config.deviations * self._mean_deviations_db, config.level_db, config.maximum_db)
        self._lasting_groups = np.where(rises_db >= config.lasting_share * required_db, self._lasting_groups + 1, 0)
        stands_out = bool(((rises_db >= required_db) | (self._lasting_groups >= _LASTING_GROUPS)).any())
        if rise_db_per_second:
            self._adapt(rises_db, rises_db < _USUAL_SHARE * required_db, rise_db_per_second * self._group_seconds)
        return stands_out

    def rise_db(self) -> float:
        """Compute the rise of the last complete group above the floor of that time, all bands together, dB."""
        return 0.0 if self._levels_db is None else _total_db(self._levels_db) - _total_db(self._reference_db)

    def discard_group(self) -> None:
        """Discard the incomplete group and the duration of rises. The next block begins a new group."""
        self._filled_blocks = 0
        self._lasting_groups[:] = 0

    def save(self) -> None:
        """Save the current floor, for `restore`. The sound that begins may become an event."""
        self._saved_floor_db = self._floor_db

    def restore(self) -> None:
        """Return to the saved floor where it is lower, because the floor has adapted to an event's sound since."""
        self._floor_db = np.minimum(self._floor_db, self._saved_floor_db)

    def _band_levels_db(self) -> NDArray[np.float64]:
        """Compute the power of the group in each band, shape (bands,), dB."""
        spectrum = scipy.fft.rfft(self._group * self._hann, axis=1)
        power = np.add.reduceat((spectrum.real**2 + spectrum.imag**2).sum(axis=0), self._first_bins)
        return np.asarray(10.0 * np.log10(power + 1e-9), np.float64)

    def _adapt(self, rises_db: NDArray[np.float64], is_usual: NDArray[np.bool_], largest_step_db: float) -> None:
        """Move the floor toward the group's levels, and the mean deviation where the rise is usual.

        Args:
            rises_db: shape (bands,), above the floor; negative below it.
            is_usual: shape (bands,).
            largest_step_db: largest step up; a step down is a share of the distance.
        """
        self._floor_db = self._floor_db + np.where(
            rises_db > 0, np.minimum(rises_db, largest_step_db), _FALL_SHARE * rises_db
        )
        self._mean_deviations_db += np.where(
            is_usual, _DEVIATION_SHARE * (np.abs(rises_db) - self._mean_deviations_db), 0.0
        )


def _total_db(bands_db: NDArray[np.float64]) -> float:
    """Sum the power of all bands, dB, from their levels, shape (bands,), dB."""
    return 10.0 * math.log10(float(np.sum(10.0 ** (bands_db / 10.0))))
