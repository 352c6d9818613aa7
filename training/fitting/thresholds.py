"""When a sound becomes an event: chosen on ambience that the scoring head never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from device.config.models import EventsConfig
from device.model.bundle import Threshold, Unknown
from device.model.features import FeatureConfig
from device.model.scoring import heard_windows, pool_scores
from training.data.ambience import Ambience

FALSE_ALARMS_PER_HOUR = 5.0
"""Of all labels together, behind the gate, by heads that were fitted on a fold less than the one that ships."""
CLEAR_DB, FAINT_ODDS = 20.0, 1.35
"""See `device.model.bundle.Unknown`: picked on streets of the judged folds (docs/trials.md)."""
THRESHOLD_CANDIDATES = np.round(np.arange(0.40, 0.985, 0.01), 2)
"""Of a threshold. Below the first, a score says little whatever the ambience; above the last, real sounds are lost in
numbers."""
ODDS_CANDIDATES = np.exp(np.arange(6.5, 15.25, 0.25))
"""Candidates for how much likelier it is, live, that a sound is none of the labels than where the odds start. Half an
hour of ambience can be silent by luck, so the least, too, was picked on streets of the judged folds."""


@dataclass(frozen=True)
class LiveRule:
    """What the device needs to make events of scores.

    Attributes:
        odds: see `device.model.scoring`.
        thresholds: by label.
        false_alarms: by label, an hour of ambience, at each of `CANDIDATES`: the curve that chose its threshold.
    """

    odds: float
    thresholds: dict[str, Threshold]
    false_alarms: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class AmbienceSpan:
    """Windows of ambience over one span of the open gate, in their order.

    Attributes:
        scores: shape (windows, outputs), float32, by a head that was not fitted on them.
        start: shape (windows,), first samples.
        rise_db: shape (windows,), above the noise floor.
    """

    scores: NDArray[np.float32]
    start: NDArray[np.int64]
    rise_db: NDArray[np.float64]

    def live_scores(self, window_length: int, unknown: Unknown, label_odds: NDArray[np.float64]) -> NDArray[np.float32]:
        """For each window, what it says with those before it, as on the device; shape (windows, labels)."""
        scores, limit = self.scores[:, : len(label_odds)], EventsConfig().smoothing_windows
        combined = []
        for last in range(len(scores)):
            recent = slice(max(0, last + 1 - limit), last + 1)
            start = self.start[recent]
            window_count = heard_windows(int(start[0]), int(start[-1]), window_length, len(start))
            odds = unknown.odds(float(self.rise_db[recent].max()), label_odds)
            combined.append(pool_scores(scores[recent], window_count, odds))
        return np.stack(combined)


def unknown_rule(output: bool, odds: float) -> Unknown:
    """When a sound is none of the labels, as the bundle has it.

    Args:
        output: whether the network has an output for it.
        odds: see `device.model.scoring`.
    """
    return Unknown(output=output, min_confidence=0.0, live_odds=odds, clear_db=CLEAR_DB, faint_odds=FAINT_ODDS)


def ambience_spans(ambience: Ambience, rows: NDArray[np.intp], scores: NDArray[np.float32]) -> list[AmbienceSpan]:
    """Some windows of the ambience, by soundings.

    Args:
        ambience: all of it.
        rows: shape (n,), which windows, in their order.
        scores: shape (n, outputs), theirs.
    """
    which = np.stack([ambience.windows.clip[rows], ambience.span_start[rows]], axis=1)
    bounds = np.flatnonzero(np.any(which[1:] != which[:-1], axis=1)) + 1
    parts = np.split(np.arange(len(rows)), bounds) if len(rows) else []
    return [AmbienceSpan(scores[part], ambience.start[rows[part]], ambience.rise_db[rows[part]]) for part in parts]


def choose_live_rule(
    labels: Sequence[str], spans: Sequence[AmbienceSpan], hours: float, features: FeatureConfig, start: float = 1.0
) -> LiveRule:
    """The lowest odds at which the lowest thresholds keep to `FALSE_ALARMS_PER_HOUR`, and then thresholds.

    The odds decide between a label and none of them. How they differ from label to label is told by how often ambience
    is taken for each where they start: there it is often enough to be counted. How high they are altogether rests on
    the false alarms of all labels together.

    A threshold can hold a label back that has more than an even share of the false alarms still.

    Without ambience, or a network without an output for "none of them", the odds are 1 and the thresholds the lowest;
    without ambience their rates are told as 0: nobody has measured them.

    Args:
        labels: of the network.
        spans: what the device looked at in ambience.
        hours: that the ambience lasts.
        features: gives the window's length.
        start: see `training.fitting.head_trainer.Fitted.live_odds`.
    """
    odds, label_odds = 1.0, np.ones(len(labels))
    count = partial(_count_false_alarms, spans, features.window_length)
    output = bool(spans) and spans[0].scores.shape[1] > len(labels)
    if output:
        lowest, allowed = THRESHOLD_CANDIDATES[:1], FALSE_ALARMS_PER_HOUR * hours
        taken = 1.0 + count(unknown_rule(output, start), label_odds, lowest)[0]  # a label may be next that never was
        label_odds = taken / np.exp(np.log(taken).mean())
        raised = start * ODDS_CANDIDATES
        quiet = (each for each in raised if count(unknown_rule(output, each), label_odds, lowest).sum() <= allowed)
        odds = float(next(quiet, raised[-1]))
    rates = count(unknown_rule(output, odds), label_odds, THRESHOLD_CANDIDATES) / (hours or 1.0)
    thresholds = {}
    for number, label in enumerate(labels):
        within = np.flatnonzero(rates[:, number] <= max(FALSE_ALARMS_PER_HOUR / len(labels), 1.0 / (hours or 1.0)))
        index = int(within[0]) if within.size else len(THRESHOLD_CANDIDATES) - 1
        thresholds[label] = Threshold(
            threshold=float(THRESHOLD_CANDIDATES[index]),
            false_alarms_per_hour=round(float(rates[index, number]), 2),
            live_odds=float(label_odds[number]),
        )
    return LiveRule(odds, thresholds, {label: rates[:, n] for n, label in enumerate(labels)})


def _count_false_alarms(
    spans: Sequence[AmbienceSpan],
    window_length: int,
    unknown: Unknown,
    label_odds: NDArray[np.float64],
    thresholds: NDArray[np.float64],
) -> NDArray[np.int64]:
    """False alarms, shape (thresholds, labels): unbroken runs of windows in which the label is the decision."""
    counts = np.zeros((len(thresholds), len(label_odds)), np.int64)
    for span in spans:
        live = span.live_scores(window_length, unknown, label_odds)
        decided = (live == live.max(axis=1, keepdims=True)) & (live >= 1.0 - live.sum(axis=1, keepdims=True))
        for index, threshold in enumerate(thresholds):
            loud = decided & (live >= threshold)
            counts[index] += (loud & ~np.vstack([np.zeros_like(loud[:1]), loud[:-1]])).sum(axis=0)
    return counts
