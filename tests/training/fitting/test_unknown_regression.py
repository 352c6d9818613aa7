"""The logit of `unknown` by logistic regression."""

import numpy as np
import pytest

from training.fitting.lda import fit_head, normalize_logit_spread
from training.fitting.unknown_regression import fit_unknown
from training.models.head import standardize

LABELS, FEATURES = 3, 20


@pytest.fixture(scope="module")
def sounds():
    """Three labels around one mean each, and negatives on both sides of them, whose mean is among the labels."""
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(LABELS + 1), 200)
    features = rng.normal(size=(len(target), FEATURES)) + 4.0 * np.eye(FEATURES)[target]
    negative = target == LABELS
    features[negative, LABELS] += 4.0
    features[negative, LABELS + 1] += rng.choice([-6.0, 6.0], negative.sum())
    weight = rng.uniform(0.5, 1.0, len(target)).astype(np.float32)
    return features.astype(np.float16), target, weight


def fit(sounds):
    """Return the head of the discriminant analysis, and the one with the regression."""
    features, target, weight = sounds
    head = fit_head(features, target, weight, LABELS, 0.2, np.zeros((0, FEATURES), np.float32))
    head = normalize_logit_spread(head, features[target == LABELS], LABELS)
    return head, fit_unknown(head, features, target, weight, LABELS, 0.2)


def test_only_the_logit_of_unknown_changes(sounds):
    """The logits of the labels stay those of the discriminant analysis."""
    before, after = fit(sounds)
    assert np.array_equal(before.weights[:, :LABELS], after.weights[:, :LABELS])
    assert np.array_equal(before.bias[:LABELS], after.bias[:LABELS])
    assert not np.array_equal(before.weights[:, LABELS], after.weights[:, LABELS])
    assert after.weights.dtype == after.bias.dtype == np.float32


def test_the_logit_separates_negatives_from_labels(sounds):
    """The logit is above 0 for most negatives and below 0 for most sounds of labels."""
    features, target, _ = sounds
    _, head = fit(sounds)
    logit = head(features)[:, LABELS]
    assert (logit[target == LABELS] > 0).mean() > 0.95
    assert (logit[target < LABELS] < 0).mean() > 0.95
    standardized = standardize(features, head.mean, head.scale)
    assert logit == pytest.approx(standardized @ head.weights[:, LABELS] + head.bias[LABELS], abs=1e-4)
