"""Noise floor: level of each frequency band while nothing happens, with its mean deviation.

A sound that stands out in one band (a horn, a distant siren) is detected long before it raises the total level. A band
stands out by a large rise at once (a bark), or by a smaller rise that lasts (an engine). Key clicks in an office have
neither.

The method is spectral noise estimation as R. Martin describes it ("Noise power spectral density estimation based on
optimal smoothing and minimum statistics", IEEE Trans. Speech and Audio Processing 9(5), 2001), reduced to one tracker
per band. A group has few bands, so their arithmetic is that of Python's floats: numpy's calls would cost more.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.config.models import NoiseFloorConfig
from device.types import FULL_SCALE, Samples
from device.util.fft import rfft

Bands = list[float]
"""A value of each band, lowest band first."""
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


@dataclass(frozen=True)
class BandLevels:
    """Levels of the last complete group of blocks, and the noise floor, in each band.

    Attributes:
        edges_hz: lower edge of each band, lowest band first. The last band ends at half the sample rate.
        levels_dbfs: RMS level, dB relative to full scale.
        floor_dbfs: the same of the noise floor.
    """

    edges_hz: tuple[float, ...]
    levels_dbfs: tuple[float, ...]
    floor_dbfs: tuple[float, ...]


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
        self._first_parts = 2 * np.searchsorted(frequencies, edges)
        self._edges_hz = tuple(map(float, edges))
        # Parseval's theorem: one side of the spectrum has half the power, and a Hann window 3/8 of it.
        self._full_scale_db = 10.0 * math.log10(GROUP_BLOCKS * 3 / 16 * block_length**2)
        self._group: list[Samples] = []
        self._lasting_groups = [0] * len(edges)
        self._levels_db: Bands | None = None
        self._reference_db: Bands = [0.0] * len(edges)
        self._floor_db = self._saved_floor_db = self._reference_db
        self._mean_deviations_db: Bands = [2.0] * len(edges)

    def group_levels(self, blocks: NDArray[np.int16]) -> Iterator[Bands]:
        """Compute the levels of all groups that successive blocks complete, at once. Nothing is added to the group.

        Args:
            blocks: the blocks that follow, shape (blocks, block_length), int16.

        Returns:
            For each group, the level of each band, dB.
        """
        if self._group:
            blocks = np.concatenate([self._group, blocks])
        whole = len(blocks) // GROUP_BLOCKS * GROUP_BLOCKS
        return iter(self._band_levels_db(blocks[:whole]) if whole else [])

    def add(self, samples: Samples) -> bool:
        """Add a block, shape (block_length,), int16; return whether it completes a group, for `compare`."""
        self._group.append(samples)
        return len(self._group) == GROUP_BLOCKS

    def compare(self, rise_db_per_second: float, levels: Iterator[Bands] | None = None) -> bool:
        """Compare the complete group with the floor, adapt the floor, and begin a new group.

        Args:
            rise_db_per_second: largest rate at which the floor may rise, dB/s; at 0 the floor does not adapt.
            levels: levels of this group and the following ones, from `group_levels`; computed here if None.

        Returns:
            True if the group stands out from the floor in any band.
        """
        levels_db = next(levels) if levels is not None else self._band_levels_db(np.stack(self._group))[0]
        self._group.clear()
        if self._levels_db is None:
            self._floor_db = levels_db
        self._levels_db = levels_db
        self._reference_db = self._floor_db
        config, lasting_groups, stands_out = self._config, self._lasting_groups, False
        deviations, lasting_share = config.deviations, config.lasting_share
        least_db, most_db = min(config.level_db, config.maximum_db), config.maximum_db
        largest_step_db = rise_db_per_second * self._group_seconds
        floor_db, deviations_db = [], self._mean_deviations_db
        for band, (level_db, band_floor_db) in enumerate(zip(levels_db, self._floor_db, strict=True)):
            rise_db, deviation_db = level_db - band_floor_db, deviations_db[band]
            required_db = deviations * deviation_db
            required_db = least_db if required_db < least_db else most_db if required_db > most_db else required_db
            lasting_groups[band] = lasting_groups[band] + 1 if rise_db >= lasting_share * required_db else 0
            if rise_db >= required_db or lasting_groups[band] >= _LASTING_GROUPS:
                stands_out = True
            if rise_db_per_second:
                if rise_db > 0:
                    floor_db.append(band_floor_db + (rise_db if rise_db < largest_step_db else largest_step_db))
                else:
                    floor_db.append(band_floor_db + _FALL_SHARE * rise_db)
                if rise_db < _USUAL_SHARE * required_db:
                    deviations_db[band] = deviation_db + _DEVIATION_SHARE * (abs(rise_db) - deviation_db)
        self._floor_db = floor_db or self._floor_db
        return stands_out

    def rise_db(self) -> float:
        """Compute the rise of the last complete group above the floor of that time, all bands together, dB."""
        return 0.0 if self._levels_db is None else _total_db(self._levels_db) - _total_db(self._reference_db)

    def band_levels(self) -> BandLevels | None:
        """Return levels and floor as they are now; None before the first complete group."""
        if self._levels_db is None:
            return None
        levels, floor = (
            tuple(level_db - self._full_scale_db for level_db in bands) for bands in (self._levels_db, self._floor_db)
        )
        return BandLevels(self._edges_hz, levels, floor)

    def discard_group(self) -> None:
        """Discard the incomplete group and the duration of rises. The next block begins a new group."""
        self._group.clear()
        self._lasting_groups = [0] * len(self._lasting_groups)

    def save(self) -> None:
        """Save the current floor, for `restore`. The sound that begins may become an event."""
        self._saved_floor_db = self._floor_db

    def restore(self) -> None:
        """Return to the saved floor where it is lower, because the floor has adapted to an event's sound since."""
        self._floor_db = [min(pair) for pair in zip(self._floor_db, self._saved_floor_db, strict=True)]

    def _band_levels_db(self, blocks: NDArray[np.int16]) -> list[Bands]:
        """Compute the power of each group in each band, dB; blocks of shape (groups * GROUP_BLOCKS, block_length)."""
        squares = rfft(blocks * self._hann).view(np.float32)  # real and imaginary parts in turn
        squares *= squares
        groups = squares.reshape(-1, GROUP_BLOCKS, squares.shape[1]).sum(axis=1)
        bands = np.add.reduceat(groups, self._first_parts, axis=1)
        levels_db: list[Bands] = (10.0 * np.log10(bands + np.float32(1e-9))).tolist()
        return levels_db


def _total_db(bands_db: Bands) -> float:
    """Sum the power of all bands, dB, from their levels, dB."""
    return 10.0 * math.log10(sum(10.0 ** (level_db / 10.0) for level_db in bands_db))
