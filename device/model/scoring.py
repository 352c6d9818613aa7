"""What the scores of several windows say together, where a microphone hears mostly none of the labels."""

import math

import numpy as np
from numpy.typing import NDArray

from device.types import Probabilities

_NEW = 0.25
"""What a window's length of the same sound, heard on, adds to the first: it comes from one source, which the network
mistakes alike. Picked on streets of the judged folds (docs/trials.md)."""
_LEAST = 1e-6
"""A score below it counts as this: an int8 network cannot tell less likely from impossible."""


def heard_windows(first_start: int, last_start: int, window_length: int, count: int) -> float:
    """As many windows as the sound fills that `count` windows cover, 1 to `count`: those that overlap heard less."""
    return min((last_start - first_start) / window_length + 1.0, float(count))


def pool_scores(scores: NDArray[np.float32], heard: float, odds: NDArray[np.float64]) -> Probabilities:
    """Scores of what windows heard together, after Bayes' rule.

    The more of a sound was heard, the more it takes to doubt it. But its windows are no independent witnesses: they
    overlap, and what they do not share is the same source still.

    A folder of clips holds what somebody recorded for its label; a microphone hears mostly something else. So "none of
    them" is likelier beforehand than where the scores were calibrated; how much, depends on what it would be taken for:
    many a click passes for a shot, and nothing for a jackhammer. The likeliest label says which of the odds hold.

    Formulas: a logarithmic opinion pool (C. Genest and J. Zidek, "Combining probability distributions: a critique and
    an annotated bibliography", Statistical Science 1, 1986) whose weights add up to 1 and a quarter of what was heard
    beyond one window; the other prior is that of M. Saerens et al., "Adjusting the outputs of a classifier to new a
    priori probabilities", Neural Computation 14, 2002.

    Args:
        scores: shape (windows, labels), float32, 0 to 1, of each window as if it were a clip; what they lack to 1 is
            "none of them".
        heard: see `heard_windows`.
        odds: shape (labels,), above 0: how many times as likely beforehand "none of them" is where the label is the
            likeliest; 1 leaves the prior as it was.

    Returns:
        Shape (labels,), float32, 0 to 1. They sum to 1 less the probability of "none of them".
    """
    all_outputs = np.column_stack([scores, 1.0 - scores.sum(axis=1)])
    weight = 1.0 + _NEW * (heard - 1.0)
    evidence = weight * np.log(np.maximum(all_outputs, _LEAST)).mean(axis=0)
    evidence[-1] += math.log(odds[int(evidence[:-1].argmax())])
    powers = np.exp(evidence - evidence.max())
    return np.asarray((powers / powers.sum())[:-1], np.float32)
