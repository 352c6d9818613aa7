"""Conversion between int16 samples and floating point."""

import numpy as np

from device.util.samples import to_float, to_int16


def test_conversion_to_float_and_back_is_exact():
    """Every int16 value survives the way to float32 and back."""
    samples = np.arange(-32768, 32768).astype(np.int16)
    assert to_float(samples).dtype == np.float32
    assert np.array_equal(to_int16(to_float(samples)), samples)
