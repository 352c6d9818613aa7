"""Band levels: A-weighted total of levels in frequency bands, for what is measured in bands only."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from device.level.statistics import decibels
from device.level.weighting import weighting_db


@functools.cache
def band_weights_db(edges_hz: tuple[float, ...], sample_rate: int) -> tuple[float, ...]:
    """Compute the A weighting of each band, for a flat spectrum within it, dB.

    Args:
        edges_hz: lower edge of each band, Hz, lowest band first. The last band ends at half the sample rate.
        sample_rate: Hz.
    """
    ends = (*edges_hz[1:], sample_rate / 2)
    gains = [
        np.mean(10.0 ** (weighting_db(np.arange(start, end), "A") / 10.0))
        for start, end in zip(edges_hz, ends, strict=True)
    ]
    return tuple(10.0 * math.log10(gain) for gain in gains)


def total_db(levels_db: Sequence[float], weights_db: Sequence[float]) -> float:
    """Return the level of all bands together, dB.

    Args:
        levels_db: level of each band, dB.
        weights_db: weighting of each band, dB.
    """
    return decibels(sum(10.0 ** ((level + weight) / 10.0) for level, weight in zip(levels_db, weights_db, strict=True)))
