"""Augmented copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.augmentation import AugmentConfig, augment, crop_or_pad, cut

WINDOW = 4000
TONE = (8000 * np.sin(np.arange(6000) * 0.3)).astype(np.int16)
NOISE = (1000 * np.random.default_rng(0).normal(size=20000)).astype(np.int16)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20000), st.integers(0, 1000))
def test_any_clip_gives_one_window(length, seed):
    """A copy of a clip of any length is one window of int16."""
    clip = np.resize(TONE, length)
    copy = augment(clip, WINDOW, [NOISE], AugmentConfig(), np.random.default_rng(seed))
    assert copy.shape == (WINDOW,)
    assert copy.dtype == np.int16


def test_same_seed_same_copy():
    """The state of the generator determines the copy."""
    first, second, other = (
        augment(TONE, WINDOW, [NOISE], AugmentConfig(), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("above_db", [0.0, 10.0, 20.0])
def test_background_lies_at_the_level_drawn(above_db):
    """The background is mixed in at the drawn number of decibels below the clip."""
    quiet = AugmentConfig((1.0, 1.0), 0.0, (0.0, 0.0), (above_db, above_db), 1.0, 0.0)
    alone = AugmentConfig((1.0, 1.0), 0.0, (0.0, 0.0), (above_db, above_db), 0.0, 0.0)
    loud_clip, background = np.resize(TONE, WINDOW), NOISE[:WINDOW]
    mixed = augment(loud_clip, WINDOW, [background], quiet, np.random.default_rng(0)).astype(float)
    clean = augment(loud_clip, WINDOW, [background], alone, np.random.default_rng(0)).astype(float)
    ratio = 20 * np.log10(np.std(clean) / np.std(mixed - clean))
    assert ratio == pytest.approx(above_db, abs=0.2)


def test_silence_stays_silence_with_no_background():
    """A silent clip stays silent, without a division by zero."""
    copy = augment(np.zeros(6000, np.int16), WINDOW, [NOISE], AugmentConfig(), np.random.default_rng(0))
    assert not copy.any()


def test_padding_keeps_a_short_signal_whole():
    """A clip shorter than the window is in it unchanged, at a random place."""
    short = np.arange(1, 11, dtype=np.float32)
    placed = crop_or_pad(short, 30, np.random.default_rng(3))
    assert placed.shape == (30,)
    start = int(np.flatnonzero(placed)[0])
    assert np.array_equal(placed[start : start + 10], short)


@given(st.integers(1, 200), st.integers(3, 90), st.integers(0, 1000))
def test_a_cut_contains_enough_of_the_sound_in_order(signal_length, length, seed):
    """A cut window contains a third of itself of the sound, or 60 % of a shorter sound; the rest is zeros."""
    signal = np.arange(1, signal_length + 1, dtype=np.float32)
    window = cut(signal, length, np.random.default_rng(seed))
    assert window.shape == (length,)
    held = window[window > 0]
    assert len(held) >= min(length // 3, 0.6 * signal_length)
    assert np.array_equal(held, np.arange(held[0], held[-1] + 1)) if len(held) else length < 3
    assert np.flatnonzero(window)[0] <= length // 3
