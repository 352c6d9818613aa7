"""Scoring: live scores of overlapping windows, and the decision between the labels and `unknown`."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.model.manifest import Manifest, Unknown
from device.types import UNKNOWN, Probabilities

_NEW_SHARE = 0.25
"""Weight of each further window's length of the same sound. It comes from one source, so its errors are correlated.
Chosen on streets of the test folds (docs/trials.md)."""
_LEAST = 1e-6
"""Floor of a score: an int8 network does not distinguish smaller probabilities."""


class Scorer:
    """Rules of a bundle that turn the network's scores into live scores and a decision.

    Args:
        manifest: labels, the rule for `unknown`, and each label's prior odds.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.labels = manifest.labels
        self._unknown = manifest.unknown
        self._label_odds = np.array([manifest.thresholds[label].live_odds for label in manifest.labels])

    def live_scores(
        self, scores: NDArray[np.float32], windows: float = 1.0, rise_db: float = math.inf
    ) -> Probabilities:
        """Combine the scores of successive windows, with the prior odds of `unknown` live.

        Args:
            scores: shape (windows, labels), 0 to 1.
            windows: see `independent_windows`.
            rise_db: rise of the sound above the noise floor, dB.

        Returns:
            Shape (labels,), 0 to 1. They sum to 1 less the probability of `unknown`.
        """
        return pool_scores(scores, windows, self._unknown.odds(rise_db, self._label_odds))

    def decide(self, scores: Probabilities) -> str:
        """Return the label of the highest score, or `unknown`.

        Args:
            scores: shape (labels,), 0 to 1.
        """
        number = int(decide(scores[np.newaxis], self._unknown)[0])
        return self.labels[number] if number < len(self.labels) else UNKNOWN


def decide(scores: NDArray[np.float32], unknown: Unknown) -> NDArray[np.intp]:
    """Decide between the labels and `unknown`, for many clips or windows at once.

    Args:
        scores: shape (n, labels), 0 to 1. What is missing to 1 is the network's probability of `unknown`.
        unknown: whether the network has an output for `unknown`, and the least confidence of a label.

    Returns:
        Shape (n,): number of the label with the highest score, or the number of labels for `unknown`. It is `unknown`
        where the confidence is below `min_confidence` or below the probability of `unknown`.
    """
    confidence = scores.max(axis=1)
    none = 1.0 - scores.sum(axis=1) if unknown.output else np.zeros(len(scores), np.float32)
    best: NDArray[np.intp] = scores.argmax(axis=1)
    return np.where(confidence < np.maximum(none, unknown.min_confidence), scores.shape[1], best)


def likeliest_classes(
    classes: Sequence[str] | None, probabilities: NDArray[np.float32] | None, count: int
) -> tuple[tuple[str, float], ...]:
    """Return the likeliest AudioSet classes with their probabilities, the likeliest first.

    Args:
        classes: display names; None without the AudioSet network.
        probabilities: shape (classes,), 0 to 1; None without the AudioSet network.
        count: largest number of classes.
    """
    if classes is None or probabilities is None:
        return ()
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple((classes[number], round(float(probabilities[number]), 4)) for number in order)


def independent_windows(first_start: int, last_start: int, window_length: int, count: int) -> float:
    """Count windows without their overlap: the covered time in windows, 1 to `count`.

    Args:
        first_start: first sample of the first window.
        last_start: first sample of the last window.
        window_length: samples in a window.
        count: number of windows.
    """
    return min((last_start - first_start) / window_length + 1.0, float(count))


def pool_scores(scores: NDArray[np.float32], windows: float, odds: NDArray[np.float64]) -> Probabilities:
    """Pool the scores of windows of one sound, with prior odds for `unknown`.

    Windows overlap and come from one source, so their scores are correlated and weighted down. The weights of the
    logarithmic opinion pool sum to 1, and a quarter for each further window's length (C. Genest and J. Zidek,
    "Combining probability distributions: a critique and an annotated bibliography", Statistical Science 1, 1986).

    Scores are calibrated on clips, each recorded for its label. A microphone delivers mostly other sounds. The prior is
    changed accordingly (M. Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities",
    Neural Computation 14, 2002). The likeliest label determines the odds: ambience resembles some labels more than
    others.

    Args:
        scores: shape (windows, labels), float32, 0 to 1, of each window alone. What is missing to 1 is the probability
            of `unknown`.
        windows: see `independent_windows`.
        odds: shape (labels,), above 0: prior odds of `unknown` where the label is the likeliest, relative to the
            training clips; 1 leaves the prior as it was.

    Returns:
        Shape (labels,), float32, 0 to 1. They sum to 1 less the probability of `unknown`.
    """
    all_outputs = np.column_stack([scores, 1.0 - scores.sum(axis=1)])
    weight = 1.0 + _NEW_SHARE * (windows - 1.0)
    evidence = weight * np.log(np.maximum(all_outputs, _LEAST)).mean(axis=0)
    evidence[-1] += math.log(odds[int(evidence[:-1].argmax())])
    powers = np.exp(evidence - evidence.max())
    return np.asarray((powers / powers.sum())[:-1], np.float32)
