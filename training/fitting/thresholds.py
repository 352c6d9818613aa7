"""Event thresholds and live odds, chosen on ambience that the scoring head was not fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from device.config.models import EventsConfig
from device.model.manifest import Threshold, Unknown
from device.model.scoring import decide, independent_windows, pool_scores
from training.data.ambience import Ambience

FALSE_ALARMS_PER_HOUR = 5.0
"""Allowed false alarms of all labels together, behind the gate, by heads fitted on one fold less than the network that
ships. Of Inception alone."""
CLEAR_DB, FAINT_ODDS = 20.0, 1.35
"""See `device.model.bundle.Unknown`; chosen on the street benchmark of the evaluation folds (docs/trials.md)."""
THRESHOLD_CANDIDATES = np.round(np.arange(0.40, 0.985, 0.01), 2)
"""Candidates of a threshold. Lower scores carry little information in any ambience; higher thresholds lose many real
sounds."""
ODDS_CANDIDATES = np.exp(np.arange(6.5, 15.25, 0.25))
"""Candidates of the factor on the initial live odds of `unknown`. Half an hour of ambience can be silent by chance, so
the lowest candidate, too, was chosen on the street benchmark of the evaluation folds."""

FUSED_ODDS_CANDIDATES = np.exp(np.arange(5.5, 8.25, 0.25))
"""Candidates of the live odds themselves, for the AudioSet network and Inception together. Half an hour of ambience
contains one or two confusing places or none, so a free search ends between 50 and 3,000,000 (docs/trials.md)."""
AUDIOSET_ODDS_CANDIDATES = np.exp(np.arange(5.5, 11.25, 0.25))
"""The same for the AudioSet network alone, whose confident mistakes nothing corrects."""


@dataclass(frozen=True)
class LiveLimits:
    """Limits within which the live rule is chosen."""

    false_alarms_per_hour: float = FALSE_ALARMS_PER_HOUR
    """Allowed false alarms of all labels together, behind the gate."""
    odds: NDArray[np.float64] | None = None
    """Candidates of the live odds; None for `ODDS_CANDIDATES` times the initial odds."""


INCEPTION_LIMITS = LiveLimits()
FUSED_LIMITS = LiveLimits(2.0, FUSED_ODDS_CANDIDATES)
"""Limits of a bundle with both networks. Its ambience is scored by heads that are as good as those that ship, so the
limit is the intended one."""
AUDIOSET_LIMITS = LiveLimits(2.0, AUDIOSET_ODDS_CANDIDATES)
"""Limits of a bundle with the AudioSet network alone."""


@dataclass(frozen=True)
class LiveRule:
    """Parameters with which the device turns scores into events.

    Attributes:
        odds: prior odds of `unknown` live (see `device.model.scoring`).
        thresholds: threshold of each label.
        false_alarms: false alarms of each label per hour of ambience, at each of `THRESHOLD_CANDIDATES`: the curve that
            the threshold was chosen on.
    """

    odds: float
    thresholds: dict[str, Threshold]
    false_alarms: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class AmbienceSpan:
    """Windows of ambience in one span of the open gate, in order.

    Attributes:
        scores: shape (windows, outputs), float32, by a head that was not fitted on them.
        start: shape (windows,), first sample of each window.
        rise_db: shape (windows,), rise above the noise floor, dB.
    """

    scores: NDArray[np.float32]
    start: NDArray[np.int64]
    rise_db: NDArray[np.float64]

    def live_scores(self, window_length: int, unknown: Unknown, label_odds: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the live scores after each window, shape (windows, labels).

        Each combines the window with those before it, as on the device.
        """
        scores, limit = self.scores[:, : len(label_odds)], EventsConfig().smoothing_windows
        combined = []
        for last in range(len(scores)):
            recent = slice(max(0, last + 1 - limit), last + 1)
            start = self.start[recent]
            window_count = independent_windows(int(start[0]), int(start[-1]), window_length, len(start))
            odds = unknown.odds(float(self.rise_db[recent].max()), label_odds)
            combined.append(pool_scores(scores[recent], window_count, odds))
        return np.stack(combined)


def unknown_rule(output: bool, odds: float) -> Unknown:
    """Return the bundle's rule for `unknown`.

    Args:
        output: whether the network has an output for `unknown`.
        odds: prior odds of `unknown` live (see `device.model.scoring`).
    """
    return Unknown(output=output, min_confidence=0.0, live_odds=odds, clear_db=CLEAR_DB, faint_odds=FAINT_ODDS)


def ambience_spans(ambience: Ambience, rows: NDArray[np.intp], scores: NDArray[np.float32]) -> list[AmbienceSpan]:
    """Group windows of the ambience by the gate's spans.

    Args:
        ambience: all windows.
        rows: shape (n,), rows of the selected windows, sorted.
        scores: shape (n, outputs), their scores.
    """
    which = np.stack([ambience.windows.clip[rows], ambience.span_start[rows]], axis=1)
    bounds = np.flatnonzero(np.any(which[1:] != which[:-1], axis=1)) + 1
    parts = np.split(np.arange(len(rows)), bounds) if len(rows) else []
    return [AmbienceSpan(scores[part], ambience.start[rows[part]], ambience.rise_db[rows[part]]) for part in parts]


def choose_live_rule(
    labels: Sequence[str],
    spans: Sequence[AmbienceSpan],
    hours: float,
    window_length: int,
    start: float = 1.0,
    limits: LiveLimits = INCEPTION_LIMITS,
) -> LiveRule:
    """Choose the lowest odds that allow the lowest thresholds within the limit, then the thresholds.

    The odds weigh `unknown` against the labels. Their ratio between labels comes from the number of false alarms of
    each label at the initial odds, where there are enough to count. Their common factor comes from the false alarms of
    all labels together.

    A higher threshold then limits a label with more than an equal share of the false alarms.

    Without ambience, or without an output for `unknown`, the odds are 1 and the thresholds the lowest. Without ambience
    the false alarm rates are 0: they were not measured.

    Args:
        labels: labels of the network.
        spans: classified windows of ambience.
        hours: duration of the ambience, hours.
        window_length: samples in a window.
        start: initial odds (see `training.fitting.head_trainer.FittedHead.live_odds`).
        limits: allowed false alarms, and the candidates of the odds.
    """
    odds, label_odds, limit = 1.0, np.ones(len(labels)), limits.false_alarms_per_hour
    count = partial(_count_false_alarms, spans, window_length)
    output = bool(spans) and spans[0].scores.shape[1] > len(labels)
    if output:
        lowest, allowed = THRESHOLD_CANDIDATES[:1], limit * hours
        # One is added because a label without a false alarm so far may have one later.
        false_alarms = 1.0 + count(unknown_rule(output, start), label_odds, lowest)[0]
        label_odds = false_alarms / np.exp(np.log(false_alarms).mean())
        candidates = start * ODDS_CANDIDATES if limits.odds is None else limits.odds
        quiet = (each for each in candidates if count(unknown_rule(output, each), label_odds, lowest).sum() <= allowed)
        odds = float(next(quiet, candidates[-1]))
    rates = count(unknown_rule(output, odds), label_odds, THRESHOLD_CANDIDATES) / (hours or 1.0)
    thresholds = {}
    for number, label in enumerate(labels):
        allowed_rows = np.flatnonzero(rates[:, number] <= max(limit / len(labels), 1.0 / (hours or 1.0)))
        index = int(allowed_rows[0]) if allowed_rows.size else len(THRESHOLD_CANDIDATES) - 1
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
    """Count false alarms, shape (thresholds, labels): runs of consecutive windows with the label as decision."""
    counts = np.zeros((len(thresholds), len(label_odds)), np.int64)
    for span in spans:
        live = span.live_scores(window_length, unknown, label_odds)
        decided = decide(live, unknown)[:, np.newaxis] == np.arange(len(label_odds))
        for index, threshold in enumerate(thresholds):
            alarm = decided & (live >= threshold)
            counts[index] += (alarm & ~np.vstack([np.zeros_like(alarm[:1]), alarm[:-1]])).sum(axis=0)
    return counts
