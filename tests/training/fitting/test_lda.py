"""Linear discriminant analysis."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from training.fitting.lda import fit_head, solve_ridge, window_weights


def exact(features):
    """Return the errors of a network without rounding errors."""
    return np.zeros((0, features), np.float32)


def test_head_is_linear_discriminant_analysis():
    """With equal classes and weights, the logits agree with scikit-learn's LDA of the same shrinkage."""
    rng = np.random.default_rng(0)
    target = np.arange(120) % 3
    mixing = rng.normal(size=(5, 5))
    features = ((rng.normal(size=(120, 5)) + 2.0 * np.eye(5)[target]) @ mixing).astype(np.float16)
    head = fit_head(features, target, np.ones(120, np.float32), 3, 0.2, exact(5))
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2)
    standardized = (features - head.mean) / head.scale
    expected = reference.fit(standardized, target).decision_function(standardized)
    logits = head(features)
    # The library's shrinkage standardizes once more, which changes little.
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.97
    centred, expected = logits - logits.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True)
    assert np.corrcoef(centred.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_direction_of_large_variance_gets_a_low_weight():
    """A direction with a large variance within labels gets a low weight, although it separates the means better."""
    rng = np.random.default_rng(0)
    target = np.arange(400) % 2
    steady = 0.5 * target + 0.1 * rng.normal(size=400)
    fickle = 2.0 * target + 4.0 * rng.normal(size=400)
    head = fit_head(
        np.stack([steady, fickle], axis=1).astype(np.float16),
        target,
        np.ones(400, np.float32),
        2,
        0.01,
        exact(2),
    )
    gains = np.abs(head.weights[:, 1] - head.weights[:, 0])
    assert gains[0] > 5 * gains[1]


def test_a_direction_of_quantization_errors_gets_a_low_weight():
    """Of two equally informative features, the head prefers the one without quantization errors."""
    rng = np.random.default_rng(0)
    target = np.arange(400) % 2
    features = (target[:, np.newaxis] + rng.normal(size=(400, 2))).astype(np.float16)
    errors = (rng.normal(size=(100, 2)) * [0.0, 3.0]).astype(np.float32)
    gains = [
        np.abs(head.weights[:, 1] - head.weights[:, 0])
        for rounding in (exact(2), errors)
        for head in [fit_head(features, target, np.ones(400, np.float32), 2, 0.01, rounding)]
    ]
    assert gains[0][0] == pytest.approx(gains[0][1], rel=0.3)
    assert gains[1][0] > 5 * gains[1][1]


def test_negatives_do_not_change_the_covariance():
    """Negatives with a large variance leave the labels' part of the head unchanged."""
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], 50)
    features = rng.normal(size=(150, 4)) + 2.0 * np.eye(4)[target]
    tame, wild = features.copy(), features.copy()
    wild[target == 2] += rng.choice([-1.0, 1.0], size=(50, 4)) * 0.5
    wild[target == 2] += tame[target == 2].mean(axis=0) - wild[target == 2].mean(axis=0)

    def contrast(of):
        head = fit_head(of.astype(np.float16), target, np.ones(150, np.float32), 2, 0.1, exact(4))
        weights = head.weights / head.scale[:, np.newaxis]
        difference = weights[:, 0] - weights[:, 1]
        return difference / np.linalg.norm(difference)

    assert contrast(tame) @ contrast(wild) > 0.999


def test_two_labels_without_negatives_give_two_logits():
    """The network has one output for each label, also with two labels."""
    rng = np.random.default_rng(0)
    target = np.arange(40) % 2
    features = (rng.normal(size=(40, 3)) + target[:, None]).astype(np.float16)
    head = fit_head(features, target, np.ones(40, np.float32), 2, 0.1, exact(3))
    assert head.weights.shape == (3, 2)
    assert (head(features).argmax(axis=1) == target).mean() > 0.7


def test_few_clips_are_fitted_like_many():
    """With fewer windows than features, Woodbury's identity gives the same head as the covariance."""
    rng = np.random.default_rng(5)
    spread, centres = rng.normal(size=(30, 50)).astype(np.float32), rng.normal(size=(3, 50)).astype(np.float32)
    expected = np.linalg.solve(0.8 * (spread.T @ spread) + 0.3 * np.eye(50), centres.T)
    assert np.allclose(solve_ridge(spread, centres, 0.8, 0.3), expected, rtol=1e-3, atol=1e-4)
    doubled = np.concatenate([spread, spread]) / np.sqrt(2)
    assert np.allclose(solve_ridge(doubled, centres, 0.8, 0.3), expected, rtol=1e-3, atol=1e-4)


def test_a_clip_counts_once_however_it_is_cut():
    """Two windows of a clip have the weight of one; a long recording has more, and its copy has its own."""
    clip = np.array([0, 1, 1, 2, 2, 2, 2, 1], np.int32)
    copy = np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int32)
    weights = window_weights(clip, copy, clip.astype(np.int64), 1.0)
    assert weights.tolist() == [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0]


def test_a_recording_counts_by_the_root_of_its_clips():
    """Four clips of one recording have the weight of two clips of separate recordings."""
    clip = np.arange(6, dtype=np.int32)
    weights = window_weights(clip, np.zeros_like(clip), np.array([0, 0, 0, 0, 1, 2]), 0.5)
    assert weights.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]
