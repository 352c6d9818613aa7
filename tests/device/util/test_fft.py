"""Tests of the Fourier transform."""

import numpy as np
import pytest
import scipy.fft

from device.util import fft


@pytest.mark.parametrize("shape", [(4, 480), (8, 480), (184, 1024), (1, 7)])
def test_the_transform_is_scipys(shape, monkeypatch):
    """The result is that of scipy.fft, bit by bit, with the compiled module and without it."""
    rows = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    expected = scipy.fft.rfft(rows, axis=1)
    assert fft._POCKETFFT is not None, "this SciPy has its compiled pocketfft elsewhere: the daemon needs 20 MB more"
    np.testing.assert_array_equal(fft.rfft(rows), expected)
    assert fft.rfft(rows).dtype == np.complex64
    monkeypatch.setattr(fft, "_POCKETFFT", None)
    np.testing.assert_array_equal(fft.rfft(rows), expected)


@pytest.mark.parametrize("shape", [(4, 480), (4, 4096), (1, 7)])
def test_the_inverse_is_scipys(shape, monkeypatch):
    """The result is that of scipy.fft, bit by bit, with the compiled module and without it."""
    rows = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    spectrum = fft.rfft(rows)
    expected = scipy.fft.irfft(spectrum, shape[1], axis=1)
    np.testing.assert_array_equal(fft.irfft(spectrum, shape[1]), expected)
    np.testing.assert_allclose(expected, rows, atol=1e-5)
    monkeypatch.setattr(fft, "_POCKETFFT", None)
    np.testing.assert_array_equal(fft.irfft(spectrum, shape[1]), expected)
