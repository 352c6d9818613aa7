"""Tests of synthesised noises: their spectra, and the negatives of networks whose embedding is not the shipped one."""

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from device.model.bundle import load_bundle
from device.teaching.clip_windows import NOISE_EXPONENTS, noise_window
from device.teaching.embedder import Embedder
from device.teaching.negatives import noise_negatives, shipped_negatives

LIGHT = load_bundle(Path(__file__).resolve().parents[3] / "models" / "urbansound8k-light")
NOISES = [f"noise/{exponent:g}" for exponent in NOISE_EXPONENTS]


@pytest.mark.parametrize("exponent", NOISE_EXPONENTS)
def test_the_power_spectrum_falls_by_the_exponent(exponent):
    """Power is proportional to 1 / f^exponent: on logarithmic axes, its slope is the negative exponent."""
    random = np.random.default_rng(7)
    windows = np.stack([noise_window(48000, exponent, random) for _ in range(20)])
    power = np.square(np.abs(np.fft.rfft(windows))).mean(axis=0)
    bins = np.arange(20, 12000)  # below, there are few bins; above, brown noise is lost in the rounding to int16
    slope, _ = np.polyfit(np.log(bins), np.log(power[bins]), 1)
    assert slope == pytest.approx(-exponent, abs=0.05)
    assert windows.std(axis=1) == pytest.approx(3000, rel=0.02)  # brown noise is clipped a little


def test_synthesised_negatives_have_the_spectra_of_the_shipped_ones():
    """The noise most similar to each synthesised one is the shipped noise of the same name."""
    embedder = Embedder(LIGHT)
    negatives = shipped_negatives(embedder)
    assert negatives.is_ambience.any(), "synthesised, not shipped"
    shipped = negatives.group("noise")
    synthesised = noise_negatives(embedder, np.random.default_rng(11))
    assert list(shipped.names) == list(synthesised.names) == NOISES

    def centers(negatives):
        rows = negatives.embeddings.astype(np.float32)
        return np.stack([rows[negatives.recording == number].mean(axis=0) for number in range(len(NOISES))])

    distances = np.linalg.norm(centers(synthesised)[:, None] - centers(shipped)[None], axis=2)
    assert distances.argmin(axis=1).tolist() == list(range(len(NOISES)))


def test_a_network_with_another_embedding_has_synthesised_negatives(tmp_path):
    """They are the noises alone, none of them ambience."""
    negatives = shipped_negatives(Embedder(load_bundle(write_tiny_bundle(tmp_path))))
    assert list(negatives.names) == NOISES
    assert len(negatives.embeddings) == 6 * len(NOISES)
    assert not negatives.is_ambience.any()
