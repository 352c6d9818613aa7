"""Head trainer: fits a linear layer to cached features, with hyperparameters from validation folds.

Nothing is chosen on a test fold. For a network that is tested on fold k, each other evaluation fold is the validation
fold once: a head is fitted without both, and its logits on the validation fold choose the shrinkage, the temperature
and the bias of `unknown`. The final head is fitted without fold k alone. The network that ships is trained in the same
way, with no fold left out at the end.

Each fold is scored with a backbone that was not trained on it (see `BackboneConfig.for_test_fold`); otherwise results
leak, even if the backbone was trained without labels. The backbone that scores a validation fold may have been trained
on the test fold, without labels. It determines only a few numbers, and no features of the test. Leaving out both folds
would take a backbone for each pair of folds.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import softmax
from device.types import UNKNOWN
from training.data.array_cache import Cache
from training.data.dataset import Dataset
from training.data.windows import SampleWindows
from training.fitting.backbone_features import Examples
from training.fitting.calibration import HeldOutLogits, choose_unknown_bias, fit_temperature, labelled_accuracy
from training.fitting.fitted_head import FittedHead
from training.fitting.lda import fit_head, normalize_logit_spread, window_weights
from training.fitting.unknown_regression import GAIN, PENALTY, fit_unknown
from training.models.head import Head


@dataclass(frozen=True)
class HeadConfig:
    """Candidates and allowed costs of the fit."""

    shrinkages: tuple[float, ...] = (0.4,)
    """Candidates of the covariance's shrinkage towards a multiple of the identity, 0 to 1. For Inception's features,
    validation always chose 0.4 instead of 0.1 or 0.2, and each candidate costs minutes."""
    recording_power: float = 0.5
    """Exponent of the number of clips in a recording's weight. A hundred clips of one dog describe this dog more than
    dogs in general, but more than a single clip does."""
    unknown_cost: float = 0.005
    """Share of labelled validation clips that may become `unknown` among clips, 0 to 1."""
    live_cost: float = 0.01
    """The same share live: the live odds start where this share would become `unknown`. So they depend on the head,
    because heads differ in how readily they classify other sounds as `unknown`."""
    unknown_regression: bool = False
    """Logit of `unknown` by logistic regression (see `training.fitting.unknown_regression`), not by a mean."""
    ambience_with_labels: bool = False
    """Ambience of a fold is scored by a head that was fitted without the fold's negatives, but with its labelled clips.
    Such a head is as good as the one that ships. If False, the labelled clips are left out too."""
    validate_on_copies: bool = False
    """Validation on augmented copies instead of the original clips: for a head for live sound."""


class Features(Protocol):
    """Features of a dataset's windows by one network (`BackboneFeatures`, `AudioSetFeatures`)."""

    @property
    def key(self) -> dict[str, object]:
        """Everything that the examples depend on."""

    @property
    def examples(self) -> Examples:
        """Features of all windows and copies."""

    def window_features(self, windows: SampleWindows, rows: NDArray[np.intp], description: str) -> NDArray[np.float16]:
        """Return the features of some rows of other windows, shape (rows, features)."""


class HeadTrainer:
    """Fits the heads of one dataset.

    Args:
        dataset: labels and folds.
        fold_features: returns the features by the network for a test fold; for None, by the one for all folds.
        config: candidates and costs.
        cache: stores each fit.
    """

    def __init__(
        self,
        dataset: Dataset,
        fold_features: Callable[[int | None], Features],
        config: HeadConfig,
        cache: Cache,
    ) -> None:
        self._dataset = dataset
        self._fold_features = fold_features
        self._config = config
        self._cache = cache
        self.targets = label_indices(dataset)
        self._is_negative = self.targets == len(dataset.labels)
        self._folds = dataset.clip_folds
        labelled = [f"{clip.label}/{clip.recording}" for clip in dataset.clips]
        self._recordings = np.unique(labelled, return_inverse=True)[1]
        self._key = {
            "targets": self.targets.tolist(),
            "folds": self._folds.tolist(),
            "recordings": self._recordings.tolist(),
            "recording_power": config.recording_power,
            "tied": [clip.tied_folds for clip in dataset.clips],
        }

    def fit(self, test_fold: int | None) -> FittedHead:
        """Choose the hyperparameters on validation folds, then fit on all folds but `test_fold`; None for all folds."""
        labels, bias, live_bias = len(self._dataset.labels), 0.0, 0.0
        parts: dict[float, list[HeldOutLogits]] = {shrinkage: [] for shrinkage in self._config.shrinkages}
        for fold in self.validation_folds(test_fold):  # one fold at a time, as its features may take hundreds of MB
            for shrinkage, held_out_parts in parts.items():
                held_out_parts.append(self._held_out(test_fold, fold, shrinkage))
        candidates = []
        for shrinkage, held_out_parts in parts.items():
            held_out = HeldOutLogits.concatenate(held_out_parts)
            temperature, loss = fit_temperature(held_out, self.targets, labels)
            candidates.append((loss, shrinkage, temperature, held_out))
        _, shrinkage, temperature, held_out = min(candidates, key=lambda candidate: candidate[0])
        head = self.head(test_fold, None, shrinkage)
        if len(head.bias) > labels:
            costs = self._config.unknown_cost, self._config.live_cost
            bias, live_bias = (choose_unknown_bias(held_out, self.targets, labels, temperature, cost) for cost in costs)
            head, held_out = head.with_unknown_bias(bias), held_out.with_unknown_bias(bias)
        temperature, _ = fit_temperature(held_out, self.targets, labels)
        accuracy = labelled_accuracy(held_out, self.targets, labels, temperature)
        live_odds = math.exp((live_bias - bias) / temperature)
        return FittedHead(head, temperature, shrinkage, bias, live_odds, accuracy)

    def predict_validation_folds(
        self, test_fold: int | None, fitted: FittedHead, windows: SampleWindows, description: str
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Predict other windows of the validation folds with the heads that were fitted without their fold.

        The windows are ambience if `HeadConfig.ambience_with_labels` is set and all of them are negatives.

        Args:
            test_fold: test fold of the network; None for the network of all folds.
            fitted: result of `fit` for this test fold.
            windows: windows of clips of the dataset.
            description: text of the progress bar.

        Returns:
            Rows of the windows in validation folds, sorted, and their probabilities, shape (rows, outputs).
        """
        logits = np.full((len(windows.clip), len(fitted.head.bias)), np.nan, np.float32)
        with_labels = self._config.ambience_with_labels and bool(np.all(self._is_negative[windows.clip]))
        for fold in self.validation_folds(test_fold):
            rows = np.flatnonzero(self._folds[windows.clip] == fold)
            features = self._fold_features(fold).window_features(windows, rows, description)
            logits[rows] = self.head(fold, test_fold, fitted.shrinkage, with_labels=with_labels)(features)
        predicted = np.flatnonzero(~np.isnan(logits[:, 0]))
        return predicted, self._probabilities(logits[predicted], fitted)

    def predict_validation_clips(
        self, test_fold: int | None, fitted: FittedHead
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Predict the windows of the validation folds' clips with the heads that were fitted without their fold.

        Returns:
            Number of each window's clip, shape (n,), and its probabilities, shape (n, outputs).
        """
        parts = [self._held_out(test_fold, fold, fitted.shrinkage) for fold in self.validation_folds(test_fold)]
        held_out = HeldOutLogits.concatenate(parts)
        return held_out.clip, self._probabilities(held_out.logits, fitted)

    def _probabilities(self, logits: NDArray[np.float32], fitted: FittedHead) -> NDArray[np.float32]:
        if logits.shape[1] > len(self._dataset.labels):
            logits = logits + fitted.unknown_bias * np.eye(logits.shape[1], dtype=np.float32)[-1]
        return softmax(logits / fitted.temperature)

    def validation_folds(self, test_fold: int | None) -> list[int]:
        """Return the validation folds of the network that is tested on `test_fold`; None for that of all folds."""
        return [fold for fold in self._dataset.evaluation_folds if fold != test_fold]

    def _held_out(self, test_fold: int | None, fold: int, shrinkage: float) -> HeldOutLogits:
        """Return the logits of a fold by a head that was fitted on neither of the folds."""
        examples = self._fold_features(fold).examples
        rows = ((examples.copy > 0) == self._config.validate_on_copies) & (self._folds[examples.clip] == fold)
        return HeldOutLogits(self.head(fold, test_fold, shrinkage)(examples.features[rows]), examples.clip[rows])

    def head(
        self, held_out_fold: int | None, other_fold: int | None, shrinkage: float, *, with_labels: bool = False
    ) -> Head:
        """Return the head for the network of `held_out_fold`, fitted on all folds but the two given.

        None leaves no fold out. With `with_labels`, only the negatives of `held_out_fold` are left out.
        """
        without = [fold for fold in {held_out_fold, other_fold} if fold is not None]
        fold_features = self._fold_features(held_out_fold)
        key = {**self._key, "sight": fold_features.key, "without": sorted(without), "shrinkage": shrinkage}
        if with_labels:
            key["negatives of"] = held_out_fold
        if self._config.unknown_regression:
            key["unknown"] = [PENALTY, GAIN]

        def compute() -> dict[str, NDArray[np.float32]]:
            examples = fold_features.examples
            whole = [fold for fold in without if fold == other_fold or not with_labels]
            rows = ~self._left_out(examples.clip, examples.copy, whole)
            if with_labels:
                rows &= ~(self._is_negative & self._dataset.belongs_to(without))[examples.clip]
            features, clip, copy = examples.features[rows], examples.clip[rows], examples.copy[rows]
            weights = window_weights(clip, copy, self._recordings[clip], self._config.recording_power)
            target, labels = self.targets[clip], len(self._dataset.labels)
            errors = examples.noise.errors[~np.isin(self._folds[examples.noise.clip], without)]
            head = fit_head(features, target, weights, labels, shrinkage, errors)
            negatives = features[(target == labels) & (copy == copy.min())]
            head = normalize_logit_spread(head, negatives, labels)
            if self._config.unknown_regression and len(negatives):
                head = fit_unknown(head, features, target, weights, labels, shrinkage)
            return vars(head)

        return Head(**self._cache.arrays("head", key, compute))

    def _left_out(self, clip: NDArray[np.int32], copy: NDArray[np.int32], folds: Collection[int]) -> NDArray[np.bool_]:
        """Return the windows that contain sound of some folds, as a mask: the clip, or the background of a copy."""
        left_out: NDArray[np.bool_] = self._dataset.belongs_to(folds)[clip]
        for number in np.unique(copy[copy > 0]):
            rows, background = copy == number, self._dataset.background_folds(int(number))
            left_out[rows] |= np.isin(background[clip[rows]], list(folds))
        return left_out


def label_indices(dataset: Dataset) -> NDArray[np.int64]:
    """Return the output number of each clip's label, shape (clips,); `unknown` is the last output."""
    number = {label: index for index, label in enumerate((*dataset.labels, UNKNOWN))}
    return np.array([number[clip.label] for clip in dataset.clips])
