"""The head's fit: linear discriminant analysis with a shrunk covariance, of features that are kept."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from training.models.head import Head, feature_statistics, standardize


def window_weights(
    clip: NDArray[np.int32], copy: NDArray[np.int32], recording: NDArray[np.int64], power: float
) -> NDArray[np.float32]:
    """Weights, shape (n,): a clip counts once however it is cut; each two windows of a long one, once.

    Without this, the length of the clips would decide which class the head prefers.

    Args:
        clip: each window's clip, shape (n,).
        copy: number of the augmented copy, 0 for the clip as it is, shape (n,).
        recording: number of the clip's recording, shape (n,).
        power: see `HeadConfig.recording_power`.
    """
    _, group, windows = np.unique(np.stack([clip, copy]), axis=1, return_inverse=True, return_counts=True)
    weights = 1.0 / np.minimum(windows[group.reshape(-1)], 2)
    clips = np.bincount(recording, weights=weights)
    shared: NDArray[np.float32] = (weights * clips[recording] ** (power - 1.0)).astype(np.float32)
    return shared


def fit_head(
    features: NDArray[np.float16],
    target: NDArray[np.int64],
    weight: NDArray[np.float32],
    labels: int,
    shrinkage: float,
    errors: NDArray[np.float32],
) -> Head:
    """Linear discriminant analysis of standardised features, with a shrunk covariance.

    The classes are taken for normal distributions of one covariance, that of the windows about their label's mean. So
    a direction in which recordings of one label and augmented copies of one clip differ much (another microphone, speed
    or place) counts little. Each label has the same say in it, and the same prior. Sounds without a label have a mean
    like the labels, but none of the say: they have little in common. The network runs in int8: the covariance of what
    that adds to the features is added, so a direction in which rounding adds up counts little, too.

    Formulas: Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, 4.3; the shrinkage is that
    of Ledoit and Wolf, J. Multivariate Analysis 88, 2004, with a given weight. scikit-learn's takes no sample weights.

    Args:
        features: shape (n, features).
        target: shape (n,), output numbers 0 to outputs - 1, each at least once.
        weight: shape (n,).
        labels: outputs from this number on are not labels but "none of them".
        shrinkage: how far the covariance is brought towards a multiple of the identity, above 0, at most 1.
        errors: shape (m, features), about 0, what int8 adds to features; m may be 0.
    """
    mean, scale = feature_statistics(features)
    standardized = standardize(features, mean, scale)
    outputs = range(int(target.max()) + 1)
    centres = np.stack([np.average(standardized[target == n], axis=0, weights=weight[target == n]) for n in outputs])
    labelled = target < labels
    balanced = (weight / np.bincount(target, weights=weight)[target])[labelled] / labels
    spread = (standardized[labelled] - centres[target[labelled]]) * np.sqrt(balanced, dtype=np.float32)[:, np.newaxis]
    spread = np.concatenate([spread, errors / scale / np.float32(math.sqrt(max(len(errors), 1)))])
    ridge = shrinkage * float(np.square(spread).sum()) / features.shape[1]
    weights = solve_ridge(spread, centres, 1.0 - shrinkage, ridge)
    bias = -0.5 * np.sum(centres * weights.T, axis=1)
    return Head(mean, scale, weights.astype(np.float32), bias.astype(np.float32))


def solve_ridge(
    spread: NDArray[np.float32], centres: NDArray[np.float32], share: float, ridge: float
) -> NDArray[np.floating[Any]]:
    """(share * spread.T @ spread + ridge * 1)⁻¹ @ centres.T, shape (features, outputs).

    Of few rows the inverse is found in their space, by Woodbury's identity: one's own ninety clips wait minutes less.
    """
    if len(spread) < spread.shape[1]:
        rows = spread.astype(np.float64)  # what follows is a small difference of large numbers
        gram = share * (rows @ rows.T)
        gram[np.diag_indices_from(gram)] += ridge
        inner = scipy.linalg.solve(gram, rows @ centres.T, assume_a="pos", overwrite_a=True)
        within: NDArray[np.float64] = (centres.T - share * (rows.T @ inner)) / ridge
        return within
    covariance = share * (spread.T @ spread)
    covariance[np.diag_indices_from(covariance)] += ridge
    solved: NDArray[np.float32] = scipy.linalg.solve(covariance, centres.T, assume_a="pos", overwrite_a=True)
    return solved


def normalize_logit_spread(head: Head, negatives: NDArray[np.float16], labels: int) -> Head:
    """The head with the labels' logits on negatives brought to a standard deviation of 1.

    The fewer clips a head is fitted on, the larger its logits on clips that it has not seen, so a temperature
    chosen for one head would not suit the next, fitted on a fold more. Negatives have no say in the labels'
    logits: they are the clips on which heads can be compared. Without negatives nothing is changed.
    """
    if not len(negatives):
        return head
    logits = head(negatives)[:, :labels]
    spread = (logits - logits.mean(axis=1, keepdims=True)).std()
    return replace(head, weights=head.weights / spread, bias=head.bias / spread)
