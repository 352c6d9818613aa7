"""Calibration of a head's logits on held-out clips: temperature, and the bias of `unknown`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from device.model.classifier import softmax

_NEVER = -1e6
"""A bias with which `unknown` is never the decision."""


@dataclass(frozen=True)
class HeldOutLogits:
    """A head's logits of windows that it was not fitted on.

    Attributes:
        logits: shape (windows, outputs), float32.
        clip: shape (windows,), int32, number of each window's clip.
    """

    logits: NDArray[np.float32]
    clip: NDArray[np.int32]

    @classmethod
    def concatenate(cls, parts: Sequence["HeldOutLogits"]) -> "HeldOutLogits":
        """Concatenate the logits of different clips."""
        return cls(np.concatenate([each.logits for each in parts]), np.concatenate([each.clip for each in parts]))

    def clip_probabilities(self, temperature: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return clips, shape (clips,), and the mean of their windows' probabilities, shape (clips, outputs)."""
        return clip_means(softmax(self.logits / temperature), self.clip)

    def with_unknown_bias(self, bias: float) -> "HeldOutLogits":
        """Return the logits with a bias added to `unknown`, the last output."""
        logits = self.logits.copy()
        logits[:, -1] += bias
        return HeldOutLogits(logits, self.clip)


def fit_temperature(held_out: HeldOutLogits, targets: NDArray[np.int64], labels: int) -> tuple[float, float]:
    """Return the temperature with the lowest log loss over labelled clips, 0.01 to 100, and that loss.

    Negatives are left out: they would lower the confidence of all labels. The thresholds limit their false alarms
    instead. Method: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        held_out: logits of clips that the head was not fitted on.
        targets: output number of every clip of the dataset.
        labels: number of labels.
    """
    rows = targets[held_out.clip] < labels
    labelled = HeldOutLogits(held_out.logits[rows], held_out.clip[rows])

    def loss(log_temperature: float) -> float:
        clips, probabilities = labelled.clip_probabilities(float(np.exp(log_temperature)))
        correct = probabilities[np.arange(len(clips)), targets[clips]]
        return -float(np.log(np.maximum(correct, 1e-7)).mean())

    optimum = scipy.optimize.minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded")
    return float(np.exp(optimum.x)), float(optimum.fun)


def choose_unknown_bias(
    held_out: HeldOutLogits, targets: NDArray[np.int64], labels: int, temperature: float, cost: float
) -> float:
    """Return the highest bias of `unknown` within the allowed cost; the lowest candidate if none is within it.

    Args:
        held_out: logits of clips that the head was not fitted on, with an output for `unknown`.
        targets: output number of every clip of the dataset.
        labels: number of labels.
        temperature: temperature of the softmax.
        cost: share of labelled clips that may become `unknown`, 0 to 1.
    """
    best = labelled_accuracy(held_out.with_unknown_bias(_NEVER), targets, labels, temperature)
    biases = [temperature * float(bias) for bias in np.arange(5.0, -10.0, -0.25)]

    def affordable(bias: float) -> bool:
        return labelled_accuracy(held_out.with_unknown_bias(bias), targets, labels, temperature) >= best - cost

    return next((bias for bias in biases if affordable(bias)), biases[-1])


def labelled_accuracy(held_out: HeldOutLogits, targets: NDArray[np.int64], labels: int, temperature: float) -> float:
    """Return the share of labelled clips with a correct decision, 0 to 1; negatives are left out."""
    clips, probabilities = held_out.clip_probabilities(temperature)
    labelled = targets[clips] < labels
    return float((probabilities.argmax(axis=1) == targets[clips])[labelled].mean())


def clip_means(values: NDArray[np.float32], clip: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the clips, sorted, shape (clips,), and the mean of each clip's rows, shape (clips, columns)."""
    clips, group, count = np.unique(clip, return_inverse=True, return_counts=True)
    sums = np.zeros((len(clips), values.shape[1]), np.float32)
    np.add.at(sums, group, values)
    return clips, sums / count[:, np.newaxis].astype(np.float32)
