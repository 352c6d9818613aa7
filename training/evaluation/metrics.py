"""Metrics of a network on a test fold, computed with the device's own code."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.model.bundle import Bundle
from device.model.clip_scoring import classify_clip
from device.model.ensemble import Ensemble
from device.model.manifest import Unknown
from device.model.scoring import decide
from device.types import UNKNOWN
from training.data.dataset import Clip, Dataset
from training.data.parallel import THREADS, Workers
from training.data.progress import progress
from training.evaluation.pipeline_evaluation import PipelineResult, pipeline_figures
from training.fitting.calibration import clip_means
from training.fitting.head_trainer import label_indices

_BINS = 15
_CLIPS_TOGETHER = 8
"""Clips that a worker of another machine gets at once."""
_BY_FOLDS = (
    "leave one fold out; shrinkage, temperature, bias and odds of unknown, and thresholds are chosen on the other folds"
)
_RANDOM = (
    "RANDOM SPLIT: IT LEAKS. Slices of one recording are in training and test, so the figures measure how well "
    "recordings are recognized, not sounds. They serve for comparison with the seed article, which used such a split"
)


@dataclass(frozen=True)
class Predictions:
    """Predictions of a network for clips.

    Attributes:
        clip: shape (n,), numbers in the dataset.
        target: shape (n,), number of the true label; the number after the labels' is `unknown`.
        float_scores: shape (n, labels), of the float network.
        shipped_scores: shape (n, labels), of the bundle, by `device`.
        unknown: the bundle's rule for `unknown`.
    """

    clip: NDArray[np.int64]
    target: NDArray[np.int64]
    float_scores: NDArray[np.float32]
    shipped_scores: NDArray[np.float32]
    unknown: Unknown

    @property
    def float_decisions(self) -> NDArray[np.intp]:
        """Label numbers, shape (n,)."""
        return decide(self.float_scores, self.unknown)

    @property
    def shipped_decisions(self) -> NDArray[np.intp]:
        """Label numbers, shape (n,)."""
        return decide(self.shipped_scores, self.unknown)


def predict_fold(
    clip: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    bundle: Bundle,
    dataset: Dataset,
    workers: Workers = THREADS,
) -> Predictions:
    """Predict the clips of a fold with the float networks and the bundle.

    The float probabilities come from cached windows. The bundle classifies the files, like `earshot classify`.

    Args:
        clip: number of each window's clip, shape (n,), for all windows of the fold's clips and negatives.
        probabilities: probabilities of these windows by the float networks, shape (n, outputs).
        bundle: bundle of the same networks.
        dataset: dataset of the clips.
        workers: what the bundle runs on.
    """
    clips, float_scores = clip_means(probabilities[:, : len(dataset.labels)], clip)
    shipped_scores = classify_files([dataset.clips[number] for number in clips], bundle, workers)
    targets = label_indices(dataset)[clips]
    return Predictions(clips.astype(np.int64), targets, float_scores, shipped_scores, bundle.manifest.unknown)


def classify_files(clips: Sequence[Clip], bundle: Bundle, workers: Workers = THREADS) -> NDArray[np.float32]:
    """Return scores of clips, shape (clips, labels), float32, like `earshot classify`."""
    scores = workers.map(partial(_file_classifier, bundle), [clip.path for clip in clips], _CLIPS_TOGETHER)
    return np.stack(list(progress(scores, len(clips), "clips through the bundle")))


def _file_classifier(bundle: Bundle) -> Callable[[Path], NDArray[np.float32]]:
    """Return the function from a file to its scores, shape (labels,)."""
    ensemble = Ensemble(bundle)

    def classify(path: Path) -> NDArray[np.float32]:
        samples = read_samples(path, bundle.sample_rate)
        return classify_clip(samples, bundle.window_length, ensemble.classify_clip)[0]

    return classify


def accuracy_figures(predictions: Sequence[Predictions], dataset: Dataset) -> dict[str, Any]:
    """Compute the figures of one fold, or of several pooled.

    `unknown` for a labelled clip counts as an error. Negatives count in `unknown_recall` alone.

    Returns:
        JSON; all shares are 0 to 1: `clips`, `float`, `int8` (accuracy), `agreement` (float and int8 decide alike),
        `macro_f1`, `per_label`, `foreground`, `background`, `called_unknown`, `calibration_error`, `unknown_recall`.
    """
    target = np.concatenate([each.target for each in predictions])
    labelled = target < len(dataset.labels)
    decisions = np.concatenate([each.shipped_decisions for each in predictions])
    float_decisions = np.concatenate([each.float_decisions for each in predictions])
    scores = np.concatenate([each.shipped_scores for each in predictions])
    clips = [dataset.clips[number] for each in predictions for number in each.clip]
    correct = decisions == target
    foreground = np.array([clip.foreground is True for clip in clips])
    background = np.array([clip.foreground is False for clip in clips])
    return {
        "clips": int(labelled.sum()),
        "float": _share((float_decisions == target)[labelled]),
        "int8": _share(correct[labelled]),
        "agreement": _share(float_decisions == decisions),
        "macro_f1": round(float(np.mean(_f1(decisions[labelled], target[labelled], len(dataset.labels)))), 4),
        "per_label": {label: _share(correct[target == number]) for number, label in enumerate(dataset.labels)},
        "foreground": _share(correct[labelled & foreground]),
        "background": _share(correct[labelled & background]),
        "called_unknown": _share(decisions[labelled] == len(dataset.labels)),
        "calibration_error": calibration_error(scores[labelled], target[labelled]),
        "unknown_recall": _share(correct[~labelled]),
        "negatives": sum(clip.label == UNKNOWN for clip in clips),
    }


def cross_validation(
    predictions: Mapping[int, Predictions], pipeline_results: Mapping[int, PipelineResult | None], dataset: Dataset
) -> dict[str, Any]:
    """Compute the content of evaluation.json: figures of each test fold, pooled, and the folds' mean and spread.

    Args:
        predictions: predictions of each test fold, by a network trained without it.
        pipeline_results: results of the pipeline on the same folds; None for a fold without ambience.
        dataset: dataset of the clips.
    """

    def fold_figures(tested: Sequence[int]) -> dict[str, Any]:
        pipeline = [each for fold in tested if (each := pipeline_results[fold])]
        pooled_pipeline = pipeline_figures(pipeline, dataset.labels) if pipeline else None
        return {**accuracy_figures([predictions[fold] for fold in tested], dataset), "pipeline": pooled_pipeline}

    folds = {str(fold): fold_figures([fold]) for fold in predictions}
    by_kind = {kind: [each[kind] for each in folds.values()] for kind in ("float", "int8")}
    return {
        "protocol": _RANDOM if dataset.leaks else _BY_FOLDS,
        "leaks": dataset.leaks,
        "data": dataset.description,
        "folds": folds,
        "pooled": fold_figures(list(predictions)),
        "mean": {kind: round(float(np.mean(values)), 4) for kind, values in by_kind.items()},
        "spread": {kind: round(float(np.std(values)), 4) for kind, values in by_kind.items()},
    }


def calibration_error(scores: NDArray[np.float32], target: NDArray[np.int64]) -> float:
    """Return the expected calibration error of the best label (Naeini et al., AAAI 2015), 15 bins, 0 to 1."""
    confidence, correct, share = reliability(scores, target)
    return round(float((np.abs(correct - confidence) * share).sum()), 4)


def reliability(
    scores: NDArray[np.float32], target: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean confidence, accuracy and share of the clips of each non-empty bin, each of shape (bins,)."""
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == target
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = [bins == each for each in np.unique(bins)]
    means = [(confidence[each].mean(), correct[each].mean(), each.mean()) for each in filled]
    columns = np.array(means, np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def _f1(decisions: NDArray[np.intp], target: NDArray[np.int64], labels: int) -> list[float]:
    """Return F1 of each label that occurs."""
    values = []
    for number in range(labels):
        hits = int(((decisions == number) & (target == number)).sum())
        predicted, actual = int((decisions == number).sum()), int((target == number).sum())
        if actual:
            values.append(2.0 * hits / (predicted + actual))
    return values


def _share(mask: NDArray[np.bool_]) -> float | None:
    """Return the mean of a mask; None for an empty one."""
    return round(float(mask.mean()), 4) if mask.size else None
