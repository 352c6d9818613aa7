"""How good a network is on clips of a fold that it never saw, through the very code that the device runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.model.bundle import Bundle
from device.model.classifier import softmax
from device.pipeline import Classify, classify_clip
from device.types import UNKNOWN
from training.data.dataset import Clip, Dataset
from training.data.parallel import parallel_map
from training.data.progress import progress
from training.evaluation.pipeline_evaluation import PipelineResult, pipeline_figures
from training.export.bundle_writer import decide, load_classifier
from training.fitting.calibration import clip_means
from training.fitting.head_trainer import label_indices

_BINS = 15
_BY_FOLDS = (
    "leave one fold out; shrinkage, temperature, bias and odds of unknown, and thresholds are chosen on the other folds"
)
_RANDOM = (
    "RANDOM SPLIT: IT LEAKS. Slices of one recording are in training and test, so the figures tell how well recordings "
    "are recognised, not sounds. They stand here to be compared with the seed article's, which were made so"
)


@dataclass(frozen=True)
class Predictions:
    """What a network said of clips.

    Attributes:
        clip: shape (n,), numbers in the dataset.
        target: shape (n,), number of the true label; that after the labels' is `unknown`.
        float_scores: shape (n, labels), of the float network.
        int8_scores: shape (n, labels), of the bundle, by `device`.
        unknown_output: whether scores lack "none of them" to 1.
    """

    clip: NDArray[np.int64]
    target: NDArray[np.int64]
    float_scores: NDArray[np.float32]
    int8_scores: NDArray[np.float32]
    unknown_output: bool

    @property
    def float_decisions(self) -> NDArray[np.intp]:
        """Label numbers, shape (n,)."""
        return decide(self.float_scores, self.unknown_output)

    @property
    def int8_decisions(self) -> NDArray[np.intp]:
        """Label numbers, shape (n,)."""
        return decide(self.int8_scores, self.unknown_output)


def predict_fold(logits: NDArray[np.float32], clip: NDArray[np.int32], bundle: Bundle, dataset: Dataset) -> Predictions:
    """Compare what float network and bundle say of the clips of a fold.

    The float network saw the windows of the cache; the bundle gets the files, as `earshot classify` does.

    Args:
        logits: of the bundle's float parent, shape (n, outputs), of all windows of the fold's clips and negatives.
        clip: each window's clip, shape (n,).
        bundle: exported from it.
        dataset: whose clips.
    """
    probabilities = softmax(logits / bundle.manifest.calibration.temperature)
    clips, float_scores = clip_means(probabilities[:, : len(dataset.labels)], clip)
    int8_scores = classify_files([dataset.clips[number] for number in clips], bundle)
    unknown_output = bundle.manifest.unknown.output
    return Predictions(clips.astype(np.int64), label_indices(dataset)[clips], float_scores, int8_scores, unknown_output)


def classify_files(clips: Sequence[Clip], bundle: Bundle) -> NDArray[np.float32]:
    """Scores of clips as `earshot classify` gives them, shape (clips, labels), float32."""

    def classify(classifier: Classify, clip: Clip) -> NDArray[np.float32]:
        samples = read_samples(clip.path, bundle.features.sample_rate)
        return classify_clip(samples, bundle.features, classifier)

    scores = parallel_map(lambda: load_classifier(bundle), classify, clips)
    return np.stack(list(progress(scores, len(clips), "int8 on the device's code")))


def accuracy_figures(predictions: Sequence[Predictions], dataset: Dataset) -> dict[str, Any]:
    """Figures of one fold, or of several pooled.

    An `unknown` on a labelled clip counts as an error. Negatives count in `unknown_recall` alone.

    Returns:
        JSON; all shares are 0 to 1: `clips`, `float`, `int8` (accuracy), `agreement` (float and int8 decide
        alike), `macro_f1`, `per_label`, `foreground`, `background`, `called_unknown`, `calibration_error`,
        `unknown_recall`.
    """
    target = np.concatenate([each.target for each in predictions])
    labelled = target < len(dataset.labels)
    decisions = np.concatenate([each.int8_decisions for each in predictions])
    float_decisions = np.concatenate([each.float_decisions for each in predictions])
    scores = np.concatenate([each.int8_scores for each in predictions])
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
    """What evaluation.json holds: figures of each tested fold, of all pooled, and the folds' mean and spread.

    Args:
        predictions: of each tested fold, by a network trained without it.
        pipeline_results: what the pipeline made of the same folds; None where a fold has no ambience.
        dataset: whose clips.
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
    """Expected calibration error of the best label's score (Naeini et al., AAAI 2015), 15 bins, 0 to 1."""
    confidence, correct, share = reliability(scores, target)
    return round(float((np.abs(correct - confidence) * share).sum()), 4)


def reliability(
    scores: NDArray[np.float32], target: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean confidence, share right and share of all clips, each shape (bins,), of the bins that hold clips."""
    confidence, correct = scores.max(axis=1), scores.argmax(axis=1) == target
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = [bins == each for each in np.unique(bins)]
    means = [(confidence[each].mean(), correct[each].mean(), each.mean()) for each in filled]
    columns = np.array(means, np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def _f1(decisions: NDArray[np.intp], target: NDArray[np.int64], labels: int) -> list[float]:
    """F1 of each label that occurs."""
    values = []
    for number in range(labels):
        hits = int(((decisions == number) & (target == number)).sum())
        predicted, actual = int((decisions == number).sum()), int((target == number).sum())
        if actual:
            values.append(2.0 * hits / (predicted + actual))
    return values


def _share(mask: NDArray[np.bool_]) -> float | None:
    """Mean of a mask, None where there is nothing to judge."""
    return round(float(mask.mean()), 4) if mask.size else None
