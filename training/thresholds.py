"""When a sound becomes an event: chosen on ambience that the scoring head never saw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.bundle import Threshold
from device.classifier import softmax
from device.config import EventsConfig
from device.evidence import pool_scores
from device.features import FeatureConfig
from device.types import UNKNOWN
from training.calibrate import Judgement
from training.dataset import Dataset
from training.spectrograms import AMBIENCE_SECONDS

FALSE_ALARMS_PER_HOUR = 5.0
"""Of all labels together, with every window of the ambience looked at; the daemon's gate leaves most of them out. On
ambience that had no say in it 3.5 to 5.3 were measured through the daemon (docs/network.md)."""
CLEAR_DB, FAINT_ODDS = 20.0, 1.35
"""See `device.bundle.Unknown`: picked on streets of the judged folds (docs/network.md)."""
CANDIDATES = np.round(np.arange(0.40, 0.985, 0.01), 2)
"""Of a threshold. Below the first, a score says little whatever the ambience; above the last, real sounds are lost in
numbers."""
ODDS = np.exp(np.arange(0.0, 12.25, 0.25))
"""Candidates for how much likelier than among clips it is, live, that a sound is none of the labels."""


@dataclass(frozen=True)
class LiveRule:
    """What the device needs to make events of scores.

    Attributes:
        odds: see `device.evidence`.
        thresholds: by label.
        false_alarms: by label, an hour of ambience, at each of `CANDIDATES`: the curve that chose its threshold.
    """

    odds: float
    thresholds: dict[str, Threshold]
    false_alarms: dict[str, NDArray[np.float64]]


def choose_live_rule(dataset: Dataset, judgement: Judgement, temperature: float, features: FeatureConfig) -> LiveRule:
    """The lowest odds at which the lowest thresholds keep to `FALSE_ALARMS_PER_HOUR`, and then thresholds.

    The odds decide between a label and none of them. All labels share them, so they rest on all false alarms: a
    threshold for each label alone would rest on one or two. What it can do is to hold a label back that has more than
    an even share of the false alarms.

    Without ambience, or a network without an output for "none of them", the odds are 1 and the thresholds the lowest;
    their rates are told as 0: nobody has measured them.

    Args:
        dataset: whose negatives of at least 10 s are the ambience.
        judgement: what heads said of windows of folds they were not fitted on.
        temperature: of the softmax.
        features: gives the window's length.
    """
    places, hours = _ambience(dataset, judgement, temperature, features)
    labels = len(dataset.labels)
    odds = 1.0
    if places and places[0].shape[1] > labels:
        lowest, allowed = CANDIDATES[:1], FALSE_ALARMS_PER_HOUR * hours
        odds = next((each for each in ODDS if _count(places, labels, each, lowest).sum() <= allowed), ODDS[-1])
    rates = _count(places, labels, odds, CANDIDATES) / (hours or 1.0)
    thresholds = {}
    for number, label in enumerate(dataset.labels):
        within = np.flatnonzero(rates[:, number] <= FALSE_ALARMS_PER_HOUR / labels)
        index = int(within[0]) if within.size else len(CANDIDATES) - 1
        thresholds[label] = Threshold(
            threshold=float(CANDIDATES[index]), false_alarms_per_hour=round(float(rates[index, number]), 2)
        )
    return LiveRule(float(odds), thresholds, {label: rates[:, n] for n, label in enumerate(dataset.labels)})


def _ambience(
    dataset: Dataset, judgement: Judgement, temperature: float, features: FeatureConfig
) -> tuple[list[NDArray[np.float32]], float]:
    """Scores of each ambience's windows, in their order, shape (windows, outputs); and the hours of all."""
    hop_seconds = features.window_seconds / 2
    places, hours = [], 0.0
    for number, clip in enumerate(dataset.clips):
        rows = judgement.clip == number
        seconds = hop_seconds * (int(rows.sum()) + 1)
        if clip.label == UNKNOWN and seconds >= AMBIENCE_SECONDS:
            places.append(softmax(judgement.logits[rows] / temperature))
            hours += seconds / 3600
    return places, hours


def _count(
    places: list[NDArray[np.float32]], labels: int, odds: float, thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """False alarms in places, shape (thresholds, labels): unbroken runs of windows in which the label is the decision.

    As live, a decision is made on a window and those before it.
    """
    counts = np.zeros((len(thresholds), labels), np.int64)
    for scores in places:
        heard = _pooled(scores[:, :labels], odds)
        decided = (heard == heard.max(axis=1, keepdims=True)) & (heard >= 1.0 - heard.sum(axis=1, keepdims=True))
        for index, threshold in enumerate(thresholds):
            loud = decided & (heard >= threshold)
            counts[index] += (loud & ~np.vstack([np.zeros_like(loud[:1]), loud[:-1]])).sum(axis=0)
    return counts


def _pooled(scores: NDArray[np.float32], odds: float) -> NDArray[np.float32]:
    """For each of windows that overlap by half, what it says with those before it, shape (windows, labels)."""
    most = EventsConfig().smoothing_windows
    spans = [scores[max(0, end - most) : end] for end in range(1, len(scores) + 1)]
    return np.stack([pool_scores(span, (len(span) + 1) / 2, odds) for span in spans])
