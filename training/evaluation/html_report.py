"""HTML report of a run: one file without external resources."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.model.clip_scoring import clip_windows
from device.model.features import FeatureConfig, log_mel
from device.types import UNKNOWN
from training.data.dataset import Clip, Dataset
from training.evaluation import plots
from training.evaluation.metrics import Predictions, reliability
from training.evaluation.templates import render
from training.fitting.thresholds import FALSE_ALARMS_PER_HOUR, THRESHOLD_CANDIDATES

MAX_MISTAKES = 24
"""Largest number of mistakes in the report: those with the highest confidence, at most one per recording."""


@dataclass(frozen=True)
class NetworkCurves:
    """Thresholds, false alarm curves and training curves of one network.

    Attributes:
        thresholds: threshold of each label.
        false_alarms: false alarms of each label per hour of ambience, at each of `thresholds.THRESHOLD_CANDIDATES`.
        curves: name -> step -> value, from `tensorboard.read_curves`.
        limit: allowed false alarms of all labels together per hour.
    """

    thresholds: Mapping[str, float]
    false_alarms: Mapping[str, NDArray[np.float64]]
    curves: Mapping[str, Mapping[int, float]]
    limit: float = FALSE_ALARMS_PER_HOUR


def write_report(
    path: Path,
    evaluation: Mapping[str, Any],
    predictions: Sequence[Predictions],
    dataset: Dataset,
    features: FeatureConfig,
    learning: Mapping[str, NetworkCurves],
    command: str,
) -> None:
    """Write the report.

    Args:
        path: path of the HTML file.
        evaluation: content of evaluation.json.
        predictions: predictions of all test folds.
        dataset: dataset of the predictions.
        features: features of the spectrograms in the report.
        learning: curves by name of the network; `all` is the one that ships.
        command: command line of the run.
    """
    target = np.concatenate([each.target for each in predictions])
    decisions = np.concatenate([each.shipped_decisions for each in predictions])
    scores = np.concatenate([each.shipped_scores for each in predictions])
    labels, labelled = dataset.labels, target < len(dataset.labels)
    outcomes = (*labels, UNKNOWN)
    counts = np.zeros((len(outcomes), len(outcomes)), np.int64)
    np.add.at(counts, (target, decisions), 1)
    present = counts.sum(axis=1) > 0
    shipped, pipeline = learning["all"], evaluation["pooled"]["pipeline"]
    figures = {
        "confusion": plots.confusion(
            counts[present], [name for name, is_present in zip(outcomes, present, strict=True) if is_present], outcomes
        ),
        "precision_recall": plots.precision_recall(precision_recall(target, scores, labels)),
        "reliability": plots.reliability(*reliability(scores[labelled], target[labelled])),
        "pipeline": plots.bars(pipeline["per_label"]) if pipeline else "",
        "false_alarms": plots.false_alarms(
            THRESHOLD_CANDIDATES, shipped.false_alarms, shipped.thresholds, shipped.limit / len(labels)
        ),
        "learning": {name: plots.curves(each.curves) for name, each in learning.items() if each.curves},
    }
    clips = [dataset.clips[number] for each in predictions for number in each.clip]
    mistakes = [
        _mistake(clips[row], outcomes[decisions[row]], scores[row].max(), features)
        for row in worst_mistakes(clips, target, decisions, scores)
    ]
    page = render(
        "report.html", evaluation=evaluation, dataset=dataset, figures=figures, mistakes=mistakes, command=command
    )
    path.write_text(page, encoding="utf-8")


def precision_recall(
    target: NDArray[np.int64], scores: NDArray[np.float32], labels: Sequence[str]
) -> dict[str, tuple[NDArray[Any], NDArray[Any], float]]:
    """Return precision, recall and average precision of each label that occurs, against all other clips."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves = {}
    for number, label in enumerate(labels):
        is_label = target == number
        if is_label.any():
            precision, recall, _ = precision_recall_curve(is_label, scores[:, number])
            curves[label] = precision, recall, float(average_precision_score(is_label, scores[:, number]))
    return curves


def worst_mistakes(
    clips: Sequence[Clip], target: NDArray[np.int64], decisions: NDArray[np.intp], scores: NDArray[np.float32]
) -> list[int]:
    """Return the rows of clips with a wrong label of the highest confidence, at most one per recording."""
    wrong = np.flatnonzero((decisions != target) & (decisions < scores.shape[1]))
    rows: list[int] = []
    recordings: set[str] = set()
    for row in wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")]:
        if clips[row].recording not in recordings:
            recordings.add(clips[row].recording)
            rows.append(int(row))
    return rows[:MAX_MISTAKES]


def _mistake(clip: Clip, decision: str, confidence: float, features: FeatureConfig) -> dict[str, Any]:
    """Return the template's values of one mistake."""
    samples = read_samples(clip.path, features.sample_rate)[: 4 * features.sample_rate]
    sound = io.BytesIO()
    soundfile.write(sound, samples, features.sample_rate, format="OGG", subtype="VORBIS")
    return {
        "clip": clip,
        "decision": decision,
        "confidence": confidence,
        "spectrogram": plots.spectrogram(log_mel(clip_windows(samples, features.window_length)[0], features)),
        "sound": base64.b64encode(sound.getvalue()).decode(),
    }
