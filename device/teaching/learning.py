"""Learning of one sound from a few clips: a prototype with a cosine, and a threshold that its negatives choose.

A prototype is the mean of the embeddings of a sound; the score of a window is its cosine with the difference of the
prototypes of clips and negatives (J. Snell, K. Swersky, R. Zemel, "Prototypical Networks for Few-shot Learning", NIPS
2017, on standardized embeddings of length 1). A shrunk linear discriminant analysis was as good on clips, and worse on
sounds over a background (docs/trials.md): five clips do not determine a covariance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import sigmoid
from device.model.taught import TAUGHT_THRESHOLD, Detector, sphere
from device.teaching.embedder import Embeddings
from device.teaching.negatives import Negatives

_QUANTILE = 0.998
"""Share of the negatives' windows that the threshold refuses."""
_RIVAL_QUANTILE = 0.95
"""Share of the rivals' windows that the threshold refuses: they are few."""
_CONFIDENCE = 0.9
"""Probability of the median clip that was left out. With 0.5 at the threshold, it sets the slope."""
_LEAST_STEP = 1.0
"""Least difference of that clip's score from the threshold, for the slope."""
_SMOOTHED = 3
"""Windows that are judged together for a false alarm: the default of `events.smoothing_windows`."""
_LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class Lesson:
    """Learned detector with its figures.

    Attributes:
        detector: detects the sound.
        recognized: whether each clip reaches the threshold of a detector that did not learn from it.
        false_alarms: events in the ambience among the negatives, by detectors that did not learn from it.
        ambience_windows: windows of that ambience, half a window apart.
        nearest: name of the recording with the highest score among those that set the threshold, as group/name.
        nearest_confidence: its probability.
        rivals_detected: for each window of the rivals, whether it reaches the threshold.
    """

    detector: Detector
    recognized: tuple[bool, ...]
    false_alarms: int
    ambience_windows: int
    nearest: str
    nearest_confidence: float
    rivals_detected: tuple[bool, ...]


def learn(clips: Sequence[Embeddings], negatives: Negatives, rivals: Negatives | None = None) -> Lesson:
    """Learn a sound.

    Each clip, and each recording of the negatives, is scored by a detector that was fitted without it. The threshold is
    the score that the given share of the negatives does not reach.

    Args:
        clips: embeddings of the windows of each clip, at least three clips.
        negatives: sounds that it is not.
        rivals: the sounds from which it has to be told above all; they get half of the negatives' weight.
    """
    rows = negatives.embeddings.astype(np.float32)
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + np.float32(_LEAST_SCALE)
    examples = [sphere(clip.astype(np.float32), mean, scale) for clip in clips]
    fitted = _Fit(sphere(rows, mean, scale), negatives, None if rivals is None else _Rivals(rivals, mean, scale))
    left_out, scores, rival_scores = fitted.cross_validated(examples)
    cut, nearest = float(np.quantile(scores, _QUANTILE)), (scores, negatives)
    if rivals is not None and (least := float(np.quantile(rival_scores, _RIVAL_QUANTILE))) > cut:
        cut, nearest = least, (rival_scores, rivals)
    slope = math.log(_CONFIDENCE / (1.0 - _CONFIDENCE)) / max(float(np.median(left_out)) - cut, _LEAST_STEP)
    weights, bias = fitted.fit(examples, np.ones(len(rows), np.bool_))

    def probabilities(values: NDArray[np.float64]) -> NDArray[np.float32]:
        return sigmoid(np.asarray(slope * (values - cut), np.float32))

    highest = int(nearest[0].argmax())
    return Lesson(
        Detector(mean, scale, (slope * weights).astype(np.float32), float(slope * (bias - cut))),
        tuple(bool(score >= cut) for score in left_out),
        _count_events(probabilities(scores), negatives),
        int(negatives.is_ambience.sum()),
        nearest[1].names[int(nearest[1].recording[highest])],
        round(float(probabilities(nearest[0])[highest]), 4),
        tuple(bool(score >= cut) for score in rival_scores),
    )


class _Rivals:
    """Rivals on the sphere, with the weight of each window."""

    def __init__(self, rivals: Negatives, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        self.rows = sphere(rivals.embeddings.astype(np.float32), mean, scale)
        self.prototype = np.average(self.rows, axis=0, weights=_weights(rivals.recording))


class _Fit:
    """Prototype of the negatives, and the linear score of a window.

    Args:
        rows: negatives on the sphere, shape (n, length).
        negatives: their recordings.
        rivals: see `learn`.
    """

    def __init__(self, rows: NDArray[np.float32], negatives: Negatives, rivals: _Rivals | None) -> None:
        self._rows, self._recording, self._rivals = rows, negatives.recording, rivals
        self._weights = _weights(negatives.recording)

    def fit(
        self, examples: Sequence[NDArray[np.float32]], used: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], float]:
        """Return weights, shape (length,), and bias of the score from clips and the `used` negatives."""
        prototype = np.mean([clip.mean(axis=0) for clip in examples], axis=0)
        other = np.average(self._rows[used], axis=0, weights=self._weights[used])
        if self._rivals is not None:
            other = (other + self._rivals.prototype) / 2.0
        direction = (prototype - other) / max(float(np.linalg.norm(prototype - other)), 1e-6)
        return direction.astype(np.float32), -0.5 * float(direction @ (prototype + other))

    def cross_validated(
        self, examples: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean score of each clip, and the score of each negative, by detectors fitted without it.

        The rivals' scores, none without rivals, are the mean over those detectors.
        """
        left_out, scores, rivals = [], np.zeros(len(self._rows)), []
        for number, clip in enumerate(examples):
            others = [each for each in examples if each is not clip]
            held_out = self._recording % len(examples) == number
            weights, bias = self.fit(others, ~held_out if not held_out.all() else held_out)
            left_out.append(float((clip @ weights).mean()) + bias)
            scores[held_out] = self._rows[held_out] @ weights + bias
            if self._rivals is not None:
                rivals.append(self._rivals.rows @ weights + bias)
        return np.array(left_out), scores, np.mean(rivals, axis=0) if rivals else np.empty(0)


def _weights(recording: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights with which each recording counts once."""
    return np.asarray(1.0 / np.bincount(recording)[recording], np.float64)


def _count_events(probabilities: NDArray[np.float32], negatives: Negatives) -> int:
    """Count the events in the ambience: runs of windows whose mean with those before reaches the threshold."""
    count = 0
    for number in np.unique(negatives.recording[negatives.is_ambience]):
        windows = probabilities[negatives.is_ambience & (negatives.recording == number)]
        means = np.array([windows[max(0, end - _SMOOTHED) : end].mean() for end in range(1, len(windows) + 1)])
        detected = means >= TAUGHT_THRESHOLD
        count += int((detected & ~np.append(False, detected[:-1])).sum())
    return count
