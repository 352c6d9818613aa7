"""Tests of the Fourier transform."""

import subprocess
import sys

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


def test_the_daemon_imports_nothing_large_that_it_does_not_need():
    """The daemon's modules load neither SciPy's packages nor the runtime's tools."""
    program = "import sys, device.cli.run, device.service.daemon; "
    program += "import device.model.classifier as c; c.interpreter_class(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "device.model.features" in loaded
    assert not loaded & {"scipy", "scipy.fft", "scipy.special", "google.protobuf", "ai_edge_litert.compiled_model"}
