"""Tests of score pooling, with numbers that a reader can verify."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from device.model.scoring import pool_scores


def equal_odds(odds, labels=1):
    """Return the same odds for each label."""
    return np.full(labels, odds)


def test_odds_follow_bayes():
    """With four times the odds of `unknown`, 0.2 against 0.8 counts as 0.8 against 0.8."""
    for scores, expected in (([0.6, 0.2], [0.375, 0.125]), ([0.5, 0.5], [0.5, 0.5]), ([0.0, 0.0], [0.0, 0.0])):
        assert np.allclose(pool_scores(np.array([scores], np.float32), 1.0, equal_odds(4.0, 2)), expected, atol=1e-5)


def test_further_windows_outweigh_the_odds():
    """Scores of 16 : 1 become 256 : 1 for five windows without overlap, and stay 16 : 1 with full overlap."""
    scores = np.array([[16 / 17]] * 5, np.float32)
    assert pool_scores(scores, 1.0, equal_odds(1.0)) == pytest.approx([16 / 17], abs=1e-3)
    assert pool_scores(scores, 5.0, equal_odds(1.0)) == pytest.approx([256 / 257], abs=1e-3)
    assert pool_scores(scores, 5.0, equal_odds(256.0)) == pytest.approx([1 / 2], abs=1e-3)


def test_opposite_windows_cancel():
    """Scores of 4 : 1 and 1 : 4 cancel."""
    assert pool_scores(np.array([[0.8], [0.2]], np.float32), 1.5, equal_odds(1.0)) == pytest.approx([0.5], abs=1e-3)


def test_without_an_output_for_unknown_the_scores_stay():
    """If the labels sum to 1, rounding does not become a probability of `unknown`."""
    assert pool_scores(np.array([[0.8, 0.2]] * 2, np.float32), 1.0, equal_odds(1.0, 2)) == pytest.approx(
        [0.8, 0.2], abs=1e-3
    )


def test_the_likeliest_label_determines_the_odds():
    """The odds of the likeliest label apply; those of the other labels have no effect."""
    odds = np.array([4.0, 1.0])
    assert np.allclose(pool_scores(np.array([[0.6, 0.2]], np.float32), 1.0, odds), [0.375, 0.125], atol=1e-5)
    assert np.allclose(pool_scores(np.array([[0.2, 0.6]], np.float32), 1.0, odds), [0.2, 0.6], atol=1e-5)


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)), st.floats(1, 3), st.floats(1e-3, 1e9))
def test_pooled_scores_are_probabilities(raw, windows, odds):
    """Pooled scores are finite, at least 0, and sum to at most 1, also for scores of 0 and 1."""
    scores = raw / max(1.0, float(raw.sum(axis=1).max()))
    pooled = pool_scores(scores, windows, equal_odds(odds, 4))
    assert np.isfinite(pooled).all()
    assert (pooled >= 0).all()
    assert pooled.sum() <= 1 + 1e-5
