"""Conversion of signals between int16 samples and floating point."""

import numpy as np
from numpy.typing import NDArray

from device.types import FULL_SCALE, Samples, to_int16

__all__ = ["to_float", "to_int16"]


def to_float(samples: Samples) -> NDArray[np.float32]:
    """Return samples of any shape, int16, as float32 with full scale 1."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)
