"""From which score a label becomes an event: chosen on ambience that the scoring head never saw."""

import numpy as np
from numpy.typing import NDArray

from device.bundle import Threshold
from device.classifier import softmax
from device.features import FeatureConfig
from device.types import UNKNOWN
from training.calibrate import Judgement
from training.dataset import Dataset
from training.spectrograms import AMBIENCE_SECONDS

FALSE_ALARMS_PER_HOUR = 2.0
"""Of all labels together; each gets an even share."""
CANDIDATES = np.round(np.arange(0.40, 0.985, 0.01), 2)
"""Below the first, a score says little whatever the ambience; above the last, real sounds are lost in numbers."""


def choose_thresholds(
    dataset: Dataset, judgement: Judgement, temperature: float, features: FeatureConfig
) -> dict[str, Threshold]:
    """For each label the lowest threshold whose false alarms stay within the label's share.

    A false alarm is an unbroken run of windows, each half a window after the last, in which the label is the
    decision with a score of at least the threshold. Without ambience the lowest candidate is taken, and its
    rate is told as 0: nobody has measured it.

    Args:
        dataset: whose negatives of at least 10 s are the ambience.
        judgement: what heads said of windows of folds they were not fitted on.
        temperature: of the softmax.
        features: gives the window's length.
    """
    allowed = FALSE_ALARMS_PER_HOUR / len(dataset.labels)
    chosen = {}
    for label, rates in false_alarm_rates(dataset, judgement, temperature, features).items():
        within = np.flatnonzero(rates <= allowed)
        index = int(within[0]) if within.size else len(CANDIDATES) - 1
        chosen[label] = Threshold(
            threshold=float(CANDIDATES[index]), false_alarms_per_hour=round(float(rates[index]), 2)
        )
    return chosen


def false_alarm_rates(
    dataset: Dataset, judgement: Judgement, temperature: float, features: FeatureConfig
) -> dict[str, NDArray[np.float64]]:
    """The curve that thresholds are chosen by: false alarms of each label per hour, at each of `CANDIDATES`."""
    counts, hours = count_false_alarms(dataset, judgement, temperature, features)
    rates = counts / hours if hours else np.zeros(counts.shape)
    return {label: rates[:, number] for number, label in enumerate(dataset.labels)}


def count_false_alarms(
    dataset: Dataset, judgement: Judgement, temperature: float, features: FeatureConfig
) -> tuple[NDArray[np.int64], float]:
    """False alarms on ambience, shape (candidates, labels), and the hours of ambience."""
    counts = np.zeros((len(CANDIDATES), len(dataset.labels)), np.int64)
    hop_seconds = features.window_seconds / 2
    hours = 0.0
    for number, clip in enumerate(dataset.clips):
        rows = judgement.clip == number
        seconds = hop_seconds * (int(rows.sum()) + 1)
        if clip.label != UNKNOWN or seconds < AMBIENCE_SECONDS:
            continue
        scores = softmax(judgement.logits[rows] / temperature)
        decided = scores == scores.max(axis=1, keepdims=True)
        for index, threshold in enumerate(CANDIDATES):
            loud = (decided & (scores >= threshold))[:, : len(dataset.labels)]
            starts = loud & ~np.vstack([np.zeros_like(loud[:1]), loud[:-1]])
            counts[index] += starts.sum(axis=0)
        hours += seconds / 3600
    return counts, hours
