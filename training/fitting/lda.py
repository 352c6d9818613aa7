"""Linear discriminant analysis with a shrunk covariance, of cached features: the fit of the head."""

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
    """Return weights, shape (n,): a clip counts once, or a longer one once for each two windows.

    Without weights, the duration of the clips would determine which class the head prefers.

    Args:
        clip: number of each window's clip, shape (n,).
        copy: number of the augmented copy, 0 for the original clip, shape (n,).
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
    """Fit a linear discriminant analysis of standardized features, with a shrunk covariance.

    The classes are modelled as normal distributions with one covariance: that of the windows around their label's mean.
    A direction gets a low weight if recordings of one label, or augmented copies of one clip, differ much in it,
    because of another microphone, speed or place. All labels have the same weight in the covariance, and the same
    prior. Negatives have a mean like the labels, but no weight in the covariance, because they have little in common.

    The network runs in int8. The covariance of its quantization errors is added, so directions in which rounding errors
    add up get a low weight too.

    Formulas: Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, 4.3; the shrinkage is that
    of Ledoit and Wolf, J. Multivariate Analysis 88, 2004, with a given weight. scikit-learn's version takes no sample
    weights.

    Args:
        features: shape (n, features).
        target: shape (n,), output numbers 0 to outputs - 1, each at least once.
        weight: shape (n,).
        labels: number of labels; higher output numbers are `unknown`.
        shrinkage: shrinkage of the covariance towards a multiple of the identity, above 0, at most 1.
        errors: shape (m, features), quantization errors with mean 0; m may be 0.
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
    """Return (share * spread.T @ spread + ridge * 1)⁻¹ @ centres.T, shape (features, outputs).

    With fewer rows than features, the inverse is computed in the space of the rows, by Woodbury's identity. This saves
    minutes for ninety own clips.
    """
    if len(spread) < spread.shape[1]:
        rows = spread.astype(np.float64)  # the result is a small difference of large numbers
        gram = share * (rows @ rows.T)
        gram[np.diag_indices_from(gram)] += ridge
        inner = scipy.linalg.solve(gram, rows @ centres.T, assume_a="pos", overwrite_a=True)
        weights: NDArray[np.float64] = (centres.T - share * (rows.T @ inner)) / ridge
        return weights
    covariance = share * (spread.T @ spread)
    covariance[np.diag_indices_from(covariance)] += ridge
    solved: NDArray[np.float32] = scipy.linalg.solve(covariance, centres.T, assume_a="pos", overwrite_a=True)
    return solved


def normalize_logit_spread(head: Head, negatives: NDArray[np.float16], labels: int) -> Head:
    """Return the head with its label logits on negatives scaled to a standard deviation of 1.

    A head that is fitted on fewer clips has larger logits on held-out clips. So a temperature chosen for one head would
    not fit the next, which is fitted on one more fold. The label logits do not depend on the negatives, so heads can be
    compared on them. Without negatives the head is returned unchanged.
    """
    if not len(negatives):
        return head
    logits = head(negatives)[:, :labels]
    spread = (logits - logits.mean(axis=1, keepdims=True)).std()
    return replace(head, weights=head.weights / spread, bias=head.bias / spread)
