"""Logit of `unknown` by logistic regression: other sounds are too varied for a class with one mean.

A linear discriminant analysis models `unknown` by its mean, and classified 50 % of new negatives as `unknown` at a cost
of three points of accuracy on labels. This regression classified 63 % (docs/trials.md).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from training.models.head import Head, standardize

PENALTY = 0.03
"""Factor of the squared weights in the loss."""
GAIN = 1.0
"""Factor of the regression's logit, beside label logits with a spread of 1 on negatives."""


def fit_unknown(
    head: Head,
    features: NDArray[np.float16],
    target: NDArray[np.int64],
    weight: NDArray[np.float32],
    labels: int,
    shrinkage: float,
) -> Head:
    """Replace the logit of `unknown`, the last output, by a logistic regression of negatives against labels.

    The squared weights are penalized in the space in which the windows of each label have the covariance 1, so the
    directions in which recordings of one label differ get low weights, as in the rest of the head. Negatives and labels
    have the same total weight.

    Args:
        head: fitted head with an output for `unknown` (`training.fitting.lda`).
        features: shape (n, features).
        target: shape (n,), output numbers; that of `unknown` is `labels`.
        weight: shape (n,).
        labels: number of labels.
        shrinkage: shrinkage of the covariance, as for the head.
    """
    standardized = standardize(features, head.mean, head.scale)
    is_negative = target == labels
    factor = _covariance_factor(standardized[~is_negative], target[~is_negative], weight[~is_negative], shrinkage)
    # Whitened with the inverse factor, shape (features, features).
    whitened = scipy.linalg.solve_triangular(factor, standardized.T, lower=True, overwrite_b=True).T
    center = whitened.mean(axis=0)
    whitened -= center
    sign = np.where(is_negative, 1.0, -1.0).astype(np.float32)
    totals = np.where(is_negative, weight[is_negative].sum(), weight[~is_negative].sum())
    shares = (weight / totals).astype(np.float32)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = parameters[:-1].astype(np.float32), float(parameters[-1])
        margin = sign * (whitened @ weights + bias)
        slope = -sign * shares / (1.0 + np.exp(np.minimum(margin, 60.0)))
        value = float(shares @ np.logaddexp(0.0, -margin)) + PENALTY * float(weights @ weights)
        return value, np.append(whitened.T @ slope + 2.0 * PENALTY * weights, slope.sum()).astype(np.float64)

    start: NDArray[Any] = np.zeros(whitened.shape[1] + 1)
    fitted = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    weights, bias = head.weights.copy(), head.bias.copy()
    weights[:, -1] = GAIN * scipy.linalg.solve_triangular(factor, fitted[:-1], lower=True, trans=1)
    bias[-1] = GAIN * (fitted[-1] - center @ fitted[:-1])
    return replace(head, weights=weights, bias=bias)


def _covariance_factor(
    standardized: NDArray[np.float32], target: NDArray[np.int64], weight: NDArray[np.float32], shrinkage: float
) -> NDArray[np.float32]:
    """Return the lower Cholesky factor of the shrunk covariance of windows about the mean of their label."""
    used, number = np.unique(target, return_inverse=True)
    centers = np.stack(
        [np.average(standardized[number == n], axis=0, weights=weight[number == n]) for n in range(len(used))]
    )
    balanced = weight / np.bincount(number, weights=weight)[number] / len(used)
    spread = (standardized - centers[number]) * np.sqrt(balanced, dtype=np.float64)[:, np.newaxis].astype(np.float32)
    covariance = (1.0 - shrinkage) * (spread.T @ spread)
    covariance[np.diag_indices_from(covariance)] += shrinkage * float(np.square(spread).sum()) / spread.shape[1]
    factor: NDArray[np.float32] = scipy.linalg.cholesky(covariance, lower=True)
    return factor
