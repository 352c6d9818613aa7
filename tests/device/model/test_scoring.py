"""What windows say together, on numbers that a reader can check."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from device.model.scoring import pool_scores


def even(odds, labels=1):
    """The same odds whatever is the likeliest."""
    return np.full(labels, odds)


def test_odds_follow_bayes():
    """Four times the odds for none of them: its 0.2 against 0.8 count as 0.8 against 0.8."""
    for scores, expected in (([0.6, 0.2], [0.375, 0.125]), ([0.5, 0.5], [0.5, 0.5]), ([0.0, 0.0], [0.0, 0.0])):
        assert np.allclose(pool_scores(np.array([scores], np.float32), 1.0, even(4.0, 2)), expected, atol=1e-5)


def test_windows_that_agree_outweigh_the_odds():
    """Of 16 : 1, five windows' length of a sound make 256 : 1; as often the same sound leaves it."""
    scores = np.array([[16 / 17]] * 5, np.float32)
    assert pool_scores(scores, 1.0, even(1.0)) == pytest.approx([16 / 17], abs=1e-3)
    assert pool_scores(scores, 5.0, even(1.0)) == pytest.approx([256 / 257], abs=1e-3)
    assert pool_scores(scores, 5.0, even(256.0)) == pytest.approx([1 / 2], abs=1e-3)


def test_one_window_that_doubts_counts_as_much_as_one_that_is_sure():
    """4 : 1 for and 4 : 1 against are nothing."""
    assert pool_scores(np.array([[0.8], [0.2]], np.float32), 1.5, even(1.0)) == pytest.approx([0.5], abs=1e-3)


def test_a_network_that_cannot_say_none_of_them_weighs_its_labels():
    """Where labels share all of 1, rounding does not become a third."""
    assert pool_scores(np.array([[0.8, 0.2]] * 2, np.float32), 1.0, even(1.0, 2)) == pytest.approx([0.8, 0.2], abs=1e-3)


def test_the_likeliest_label_says_which_odds_hold():
    """A click that could be a shot is doubted as shots are; the odds of other labels have no say."""
    odds = np.array([4.0, 1.0])
    assert np.allclose(pool_scores(np.array([[0.6, 0.2]], np.float32), 1.0, odds), [0.375, 0.125], atol=1e-5)
    assert np.allclose(pool_scores(np.array([[0.2, 0.6]], np.float32), 1.0, odds), [0.2, 0.6], atol=1e-5)


@given(arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)), st.floats(1, 3), st.floats(1e-3, 1e9))
def test_whatever_the_scores_the_result_is_scores(raw, heard, odds):
    """Zeros, ones and rounding give numbers from 0 to 1 that sum to at most 1."""
    scores = raw / max(1.0, float(raw.sum(axis=1).max()))
    pooled = pool_scores(scores, heard, even(odds, 4))
    assert np.isfinite(pooled).all()
    assert (pooled >= 0).all()
    assert pooled.sum() <= 1 + 1e-5
