"""Fusion of networks that are scored together: weights, and when the second one is asked, chosen on validation folds.

The rules are the device's (`device.model.ensemble`): the log-probabilities are added by weight. Here they are computed
for many windows at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import softmax
from device.model.manifest import ClipScoring, LiveScoring, Scoring
from training.fitting import calibration
from training.fitting.calibration import HeldOutLogits, clip_means

CLIP_WEIGHTS = (0.75, 0.7, 0.6, 0.5, 0.4)
"""Candidates of the first network's weight for clips; the second has the rest."""
LIVE_WEIGHT = 0.5
"""The first network's weight for live sound. The networks make different mistakes, and half an hour of ambience is too
short to choose this: validation prefers 0.75, which doubles the false alarms in other ambience (docs/trials.md)."""
ASK_BELOW = (0.8, 0.9, 0.95, 0.98, None)
"""Candidates of the highest probability below which the second network is asked about a clip's window."""
ASK_ABOVE = (0.95, 0.9, 0.8, 0.6, None)
"""Candidates of the labels' sum of probabilities from which the second network is asked about live sound."""
PASSED_SHARES = (0.0025, 0.005, 0.01, 0.02)
"""Shares of the ambience's windows that may pass, at which live rules are compared."""
_TOLERANCE = 0.002
"""Share of clips or windows by which a rule that asks less often may be worse."""
UNKNOWN_COST = 0.02
"""Share of labelled validation clips that may become `unknown` by the fused scores, 0 to 1."""
_LEAST = 1e-6


@dataclass(frozen=True)
class LiveWindows:
    """Probabilities of the same windows by each network, in the order of scoring.

    Attributes:
        probabilities: each of shape (n, outputs).
        target: shape (n,), number of the label.
    """

    probabilities: Sequence[NDArray[np.float32]]
    target: NDArray[np.int64]


def single_scoring(name: str) -> Scoring:
    """Return the scoring of a bundle with one network."""
    weights = {name: 1.0}
    return Scoring(
        order=(name,),
        clip=ClipScoring(weights=weights, ask_below=None),
        live=LiveScoring(weights=weights, ask_above=None),
    )


def fuse_windows(
    probabilities: Sequence[NDArray[np.float32]], labels: int, rule: ClipScoring | LiveScoring
) -> NDArray[np.float32]:
    """Return the probabilities of windows by several networks, shape (n, outputs).

    Args:
        probabilities: of each network in the order of scoring, each of shape (n, outputs).
        labels: number of labels.
        rule: weights, and when the others are asked.
    """
    first = probabilities[0]
    if len(probabilities) == 1:
        return first
    logarithms = np.log(np.maximum(np.stack(list(probabilities)), np.float32(_LEAST)))
    fused = softmax(np.tensordot(np.array(list(rule.weights.values()), np.float32), logarithms, axes=1))
    if isinstance(rule, ClipScoring):
        asked = first.max(axis=1) < (np.inf if rule.ask_below is None else rule.ask_below)
    else:
        asked = 1.0 - first[:, labels:].sum(axis=1) >= (-np.inf if rule.ask_above is None else rule.ask_above)
    return np.where(asked[:, np.newaxis], fused, first)


def choose_clip_rule(
    names: Sequence[str],
    probabilities: Sequence[NDArray[np.float32]],
    clip: NDArray[np.int32],
    targets: NDArray[np.int64],
    labels: int,
) -> ClipScoring:
    """Choose the weights with the highest accuracy on labelled validation clips, then the least share of questions.

    Args:
        names: names of two networks in the order of scoring.
        probabilities: of each network, of the windows of validation clips, each of shape (n, outputs).
        clip: number of each window's clip, shape (n,).
        targets: output number of every clip of the dataset.
        labels: number of labels.
    """

    def quality(rule: ClipScoring) -> tuple[float, float]:
        clips, means = clip_means(fuse_windows(probabilities, labels, rule), clip)
        target = targets[clips]
        rows = target < labels
        correct = means[rows, target[rows]]
        accuracy = float((means.argmax(axis=1) == target)[rows].mean())
        return accuracy, float(np.log(np.maximum(correct, _LEAST)).mean())

    rules = [ClipScoring(weights=_weights(names, weight), ask_below=None) for weight in CLIP_WEIGHTS]
    best = max(rules, key=quality)
    asking = [best.model_copy(update={"ask_below": bound}) for bound in ASK_BELOW]
    return next(rule for rule in asking if quality(rule)[0] >= quality(best)[0] - _TOLERANCE)


def choose_unknown_bias(
    probabilities: Sequence[NDArray[np.float32]],
    clip: NDArray[np.int32],
    targets: NDArray[np.int64],
    labels: int,
    rule: ClipScoring,
) -> float:
    """Choose the bias of `unknown` that all networks share for clips, within `UNKNOWN_COST`; see `choose_clip_rule`.

    Each head has its own bias already. The fused scores cost fewer labelled clips, so there is room for more.

    Returns:
        Bias of the logit of `unknown`, in units of each head's temperature; 0 without an output for `unknown`.
    """
    if probabilities[0].shape[1] == labels:
        return 0.0
    fused = fuse_windows(probabilities, labels, rule)
    held_out = HeldOutLogits(np.log(np.maximum(fused, np.float32(_LEAST))), clip)
    return calibration.choose_unknown_bias(held_out, targets, labels, 1.0, UNKNOWN_COST)


def choose_live_rule(
    names: Sequence[str], sounds: LiveWindows, ambience: Sequence[NDArray[np.float32]], labels: int
) -> LiveScoring:
    """Choose the rule with the highest recall of labelled windows at equal shares of ambience that passes.

    Args:
        names: names of two networks in the order of scoring.
        sounds: labelled windows over a background, of validation folds.
        ambience: probabilities of the ambience's windows by each network, each of shape (n, outputs).
        labels: number of labels.
    """

    def quality(rule: LiveScoring) -> float:
        passed = label_evidence(fuse_windows(ambience, labels, rule), labels)[1]
        number, evidence = label_evidence(fuse_windows(sounds.probabilities, labels, rule), labels)
        limits = np.quantile(passed, 1.0 - np.array(PASSED_SHARES)) if len(passed) else np.zeros(1)
        return float(((number == sounds.target) & (evidence > limits[:, np.newaxis])).mean())

    rules = [LiveScoring(weights=_weights(names, LIVE_WEIGHT), ask_above=bound) for bound in ASK_ABOVE]
    qualities = [quality(rule) for rule in rules]
    return next(rule for rule, each in zip(rules, qualities, strict=True) if each >= max(qualities) - _TOLERANCE)


def label_evidence(probabilities: NDArray[np.float32], labels: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the best label of each window, and the logarithm of its ratio to `unknown`, each of shape (n,).

    Without an output for `unknown`, the probability of the label itself is used.
    """
    best = probabilities[:, :labels].argmax(axis=1)
    logarithms = np.log(np.maximum(probabilities, np.float32(_LEAST)))
    evidence = logarithms[np.arange(len(best)), best]
    return best, evidence - logarithms[:, labels] if probabilities.shape[1] > labels else evidence


def _weights(names: Sequence[str], first: float) -> dict[str, float]:
    return dict(zip(names, (first, round(1.0 - first, 2)), strict=True))
