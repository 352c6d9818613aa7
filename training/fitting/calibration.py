"""What a head's logits are worth: temperature and the bias of "none of them", chosen on clips that it never saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from device.model.classifier import softmax

_NEVER = -1e6
"""A bias under which nothing is ever "none of them"."""


@dataclass(frozen=True)
class HeldOutLogits:
    """What a head said of windows it was not fitted on.

    Attributes:
        logits: shape (windows, outputs), float32.
        clip: shape (windows,), int32, each window's clip.
    """

    logits: NDArray[np.float32]
    clip: NDArray[np.int32]

    @classmethod
    def concatenate(cls, parts: Sequence["HeldOutLogits"]) -> "HeldOutLogits":
        """Several, of different clips, as one."""
        return cls(np.concatenate([each.logits for each in parts]), np.concatenate([each.clip for each in parts]))

    def clip_probabilities(self, temperature: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Clips, shape (clips,), and the mean of their windows' probabilities, shape (clips, outputs)."""
        return clip_means(softmax(self.logits / temperature), self.clip)

    def with_unknown_bias(self, bias: float) -> "HeldOutLogits":
        """The same with a number added to the logit of "none of them", the last."""
        logits = self.logits.copy()
        logits[:, -1] += bias
        return HeldOutLogits(logits, self.clip)


def fit_temperature(held_out: HeldOutLogits, targets: NDArray[np.int64], labels: int) -> tuple[float, float]:
    """The temperature of the lowest log loss over labelled clips, 0.01 to 100, and that loss (Guo et al., ICML 2017).

    Negatives do not count: a confidence is told where a label is, and they would make the network shy of all labels.
    What they are mistaken for is the thresholds' business.

    Args:
        held_out: of clips that the head was not fitted on.
        targets: output number of every clip of the dataset.
        labels: number of labels.
    """
    rows = targets[held_out.clip] < labels
    labelled = HeldOutLogits(held_out.logits[rows], held_out.clip[rows])

    def loss(log_temperature: float) -> float:
        clips, probabilities = labelled.clip_probabilities(float(np.exp(log_temperature)))
        right = probabilities[np.arange(len(clips)), targets[clips]]
        return -float(np.log(np.maximum(right, 1e-7)).mean())

    found = scipy.optimize.minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded")
    return float(np.exp(found.x)), float(found.fun)


def choose_unknown_bias(
    held_out: HeldOutLogits, targets: NDArray[np.int64], labels: int, temperature: float, cost: float
) -> float:
    """The highest bias of "none of them" that costs no more than allowed; the lowest candidate if none is so cheap.

    Args:
        held_out: of clips that the head was not fitted on, with an output for "none of them".
        targets: output number of every clip of the dataset.
        labels: number of labels.
        temperature: of the softmax.
        cost: share of labelled clips that may be lost by it.
    """
    best = labelled_accuracy(held_out.with_unknown_bias(_NEVER), targets, labels, temperature)
    biases = [temperature * float(bias) for bias in np.arange(5.0, -10.0, -0.25)]

    def affordable(bias: float) -> bool:
        return labelled_accuracy(held_out.with_unknown_bias(bias), targets, labels, temperature) >= best - cost

    return next((bias for bias in biases if affordable(bias)), biases[-1])


def labelled_accuracy(held_out: HeldOutLogits, targets: NDArray[np.int64], labels: int, temperature: float) -> float:
    """Share of clips of a label that are named right, 0 to 1; negatives do not count."""
    clips, probabilities = held_out.clip_probabilities(temperature)
    labelled = targets[clips] < labels
    return float((probabilities.argmax(axis=1) == targets[clips])[labelled].mean())


def clip_means(values: NDArray[np.float32], clip: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Clips, sorted, shape (clips,), and the mean of each one's rows, shape (clips, columns)."""
    clips, group, count = np.unique(clip, return_inverse=True, return_counts=True)
    sums = np.zeros((len(clips), values.shape[1]), np.float32)
    np.add.at(sums, group, values)
    return clips, sums / count[:, np.newaxis].astype(np.float32)
