"""The head: a linear layer fitted to cached features, and the choices that validation folds make for it.

Nothing is chosen on a test fold. For a network that will be tested on fold k, every other judged fold takes its
turn as validation fold: a head is fitted without both, and what it says of the validation fold chooses the
regularisation, the temperature and the bias of "none of them". The head itself is then fitted without k alone.
The network that ships is made the same way, with no fold left out at the end.

A backbone that heard a fold's clips, if only without labels, finds that fold easy. So a head speaks of a fold from the
features of a backbone that never heard it (see `BackboneConfig.without`). That which speaks of a validation fold may
have heard the test fold, without labels: a few numbers come of it, and no feature that the test sees. To leave out
each two folds would take a backbone for each pair.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import softmax
from device.types import UNKNOWN
from training.data.array_cache import Cache
from training.data.dataset import Dataset
from training.data.spectrograms import Spectrograms
from training.fitting.backbone_features import BackboneFeatures
from training.fitting.calibration import HeldOutLogits, choose_unknown_bias, fit_temperature, labelled_accuracy
from training.fitting.lda import fit_head, normalize_logit_spread, window_weights
from training.models.head import Head


@dataclass(frozen=True)
class HeadConfig:
    """How the head is fitted and chosen."""

    shrinkages: tuple[float, ...] = (0.1, 0.2, 0.4)
    """Candidates: how far the covariance is brought towards a multiple of the identity, 0 to 1."""
    recording_power: float = 0.5
    """A recording counts by this power of its clips: a hundred clips of one dog tell more of that dog than of dogs, but
    they tell more than one clip does."""
    unknown_cost: float = 0.005
    """Share of labelled validation clips that may be lost for telling unknown sounds apart among clips."""
    live_cost: float = 0.01
    """The same for what a microphone hears: live odds start where so many would be lost. So they follow each head, one
    of which takes strange clips for "none of them" more readily than another."""


@dataclass(frozen=True)
class FittedHead:
    """A head and what was chosen for it.

    Attributes:
        head: with the bias of "none of them" in it.
        temperature: of the softmax.
        shrinkage: the one that validation chose.
        unknown_bias: what was added to the logit of "none of them"; 0 without negatives.
        live_odds: of "none of them" where `HeadConfig.live_cost` would be paid, at least 1; 1 without negatives.
        validation_accuracy: share of labelled validation clips named right, 0 to 1.
    """

    head: Head
    temperature: float
    shrinkage: float
    unknown_bias: float
    live_odds: float
    validation_accuracy: float


class HeadTrainer:
    """Fits the heads of one dataset.

    Args:
        dataset: labels, folds.
        sight: gives what the backbone makes of the clips that never heard a fold; for None, that which heard all.
        config: candidates and costs.
        cache: keeps each fit.
    """

    def __init__(
        self,
        dataset: Dataset,
        backbone_features: Callable[[int | None], BackboneFeatures],
        config: HeadConfig,
        cache: Cache,
    ) -> None:
        self._dataset = dataset
        self._backbone_features = backbone_features
        self._config = config
        self._cache = cache
        self.targets = label_indices(dataset)
        self._folds = dataset.clip_folds
        labelled = [f"{clip.label}/{clip.recording}" for clip in dataset.clips]
        self._recordings = np.unique(labelled, return_inverse=True)[1]
        self._key = {
            "targets": self.targets.tolist(),
            "folds": self._folds.tolist(),
            "recordings": self._recordings.tolist(),
            "recording_power": config.recording_power,
        }

    def fit(self, test_fold: int | None) -> FittedHead:
        """Choose on validation folds, then fit on all folds but `test_fold` (None: on all)."""
        labels, bias, live_bias = len(self._dataset.labels), 0.0, 0.0
        folds = [self._validate(test_fold, fold) for fold in self.validation_folds(test_fold)]
        candidates = []
        for shrinkage, parts in zip(self._config.shrinkages, zip(*folds, strict=True), strict=True):
            held_out = HeldOutLogits.concatenate(parts)
            temperature, loss = fit_temperature(held_out, self.targets, labels)
            candidates.append((loss, shrinkage, temperature, held_out))
        _, shrinkage, temperature, held_out = min(candidates, key=lambda candidate: candidate[0])
        head = self.head(test_fold, None, shrinkage)
        if len(head.bias) > labels:
            costs = self._config.unknown_cost, self._config.live_cost
            bias, live_bias = (choose_unknown_bias(held_out, self.targets, labels, temperature, cost) for cost in costs)
            raised = head.bias.copy()
            raised[-1] += bias
            head, held_out = replace(head, bias=raised), held_out.with_unknown_bias(bias)
        temperature, _ = fit_temperature(held_out, self.targets, labels)
        accuracy = labelled_accuracy(held_out, self.targets, labels, temperature)
        live_odds = math.exp((live_bias - bias) / temperature)
        return FittedHead(head, temperature, shrinkage, bias, live_odds, accuracy)

    def predict_validation_folds(
        self, test_fold: int | None, fitted: FittedHead, windows: Spectrograms, description: str
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """What the heads that chose for `test_fold` say of other windows of their validation folds.

        Args:
            test_fold: whose network is made; None for the one of all folds.
            fitted: what `fit` gave for it.
            windows: cut from clips of the dataset.
            description: they are, for the progress line.

        Returns:
            Rows of the windows that were judged, sorted, and their probabilities, shape (rows, outputs).
        """
        logits = np.full((len(windows), len(fitted.head.bias)), np.nan, np.float32)
        for fold in self.validation_folds(test_fold):
            rows = np.flatnonzero(self._folds[windows.clip] == fold)
            features = self._backbone_features(fold).features(windows.subset(rows), description)
            logits[rows] = self.head(fold, test_fold, fitted.shrinkage)(features)
        predicted = np.flatnonzero(~np.isnan(logits[:, 0]))
        if logits.shape[1] > len(self._dataset.labels):
            logits[:, -1] += fitted.unknown_bias
        return predicted, softmax(logits[predicted] / fitted.temperature)

    def validation_folds(self, test_fold: int | None) -> list[int]:
        """Judged folds that choose for the network that is tested on `test_fold`; None for the one of all folds."""
        return [fold for fold in self._dataset.evaluation_folds if fold != test_fold]

    def _validate(self, test_fold: int | None, fold: int) -> list[HeldOutLogits]:
        """What heads that saw neither fold say of the second, for each shrinkage."""
        examples = self._backbone_features(fold).examples
        rows = (examples.copy == 0) & (self._folds[examples.clip] == fold)
        features, clip = examples.features[rows], examples.clip[rows]
        heads = (self.head(fold, test_fold, shrinkage) for shrinkage in self._config.shrinkages)
        return [HeldOutLogits(head(features), clip) for head in heads]

    def head(self, held_out_fold: int | None, other_fold: int | None, shrinkage: float) -> Head:
        """Head for the backbone that never heard the held-out fold, fitted on all folds but that and the other."""
        without = [fold for fold in {held_out_fold, other_fold} if fold is not None]
        backbone_features = self._backbone_features(held_out_fold)
        key = {**self._key, "sight": backbone_features.key, "without": sorted(without), "shrinkage": shrinkage}

        def compute() -> dict[str, NDArray[np.float32]]:
            examples = backbone_features.examples
            rows = ~np.isin(self._folds[examples.clip], without)
            features, clip, copy = examples.features[rows], examples.clip[rows], examples.copy[rows]
            weights = window_weights(clip, copy, self._recordings[clip], self._config.recording_power)
            target, labels = self.targets[clip], len(self._dataset.labels)
            errors = examples.noise.errors[~np.isin(self._folds[examples.noise.clip], without)]
            head = fit_head(features, target, weights, labels, shrinkage, errors)
            return vars(normalize_logit_spread(head, features[(target == labels) & (copy == 0)], labels))

        return Head(**self._cache.arrays("head", key, compute))


def label_indices(dataset: Dataset) -> NDArray[np.int64]:
    """Output number of each clip's label, shape (clips,); `unknown` is the last output."""
    number = {label: index for index, label in enumerate((*dataset.labels, UNKNOWN))}
    return np.array([number[clip.label] for clip in dataset.clips])
