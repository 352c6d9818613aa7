"""The head: a linear layer fitted to cached features, and the choices that validation folds make for it.

Nothing is chosen on a test fold. For a network that will be tested on fold k, every other judged fold takes its
turn as validation fold: a head is fitted without both, and what it says of the validation fold chooses the
regularisation, the temperature and the bias of "none of them". The head itself is then fitted without k alone.
The network that ships is made the same way, with no fold left out at the end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from device.types import UNKNOWN
from training.cache import Cache, digest
from training.calibrate import Judgement, best_temperature, labelled_accuracy, unknown_bias
from training.dataset import Dataset
from training.model import Head, standardise

_INT8_STEP = 0.02
"""Of a pooled layer's mean once it is quantized: values go up to about 5, in 255 steps."""


@dataclass(frozen=True)
class HeadConfig:
    """How the head is fitted and chosen."""

    inverse_regularisations: tuple[float, ...] = (0.003, 0.01)
    """Candidates for the C of scikit-learn's LogisticRegression."""
    unknown_cost: float = 0.005
    """Share of labelled validation clips that may be lost for telling unknown sounds apart."""


@dataclass(frozen=True)
class Examples:
    """Features of windows, shape (n, features), and where they come from (see Spectrograms)."""

    features: NDArray[np.float16]
    clip: NDArray[np.int32]
    copy: NDArray[np.int32]


@dataclass(frozen=True)
class Fitted:
    """A head and what was chosen for it.

    Attributes:
        head: with the bias of "none of them" in it.
        temperature: of the softmax.
        inverse_regularisation: the C that validation chose.
        unknown_bias: what was added to the logit of "none of them"; 0 without negatives.
        validation: by heads fitted without the validation fold, with the same bias: thresholds come from it.
        validation_accuracy: share of labelled validation clips named right, 0 to 1.
    """

    head: Head
    temperature: float
    inverse_regularisation: float
    unknown_bias: float
    validation: Judgement
    validation_accuracy: float


class HeadTrainer:
    """Fits the heads of one dataset.

    Args:
        dataset: labels, folds.
        examples: features of all windows and copies of its clips.
        config: candidates and costs.
        cache: keeps each fit.
        key: what the examples depend on.
    """

    def __init__(
        self, dataset: Dataset, examples: Examples, config: HeadConfig, cache: Cache, key: dict[str, object]
    ) -> None:
        self._dataset = dataset
        self._examples = examples
        self._config = config
        self._cache = cache
        self._key = digest(key)
        self.targets = targets(dataset)
        self._folds = np.array([clip.fold for clip in dataset.clips])

    def fit(self, test_fold: int | None) -> Fitted:
        """Choose on validation folds, then fit on all folds but `test_fold` (None: on all)."""
        tested = () if test_fold is None else (test_fold,)
        validation_folds = [fold for fold in self._dataset.judged_folds if fold != test_fold]
        candidates = []
        for strength in self._config.inverse_regularisations:
            judgement = self._validate(validation_folds, tested, strength)
            candidates.append((best_temperature(judgement, self.targets)[1], strength, judgement))
        _, strength, judgement = min(candidates, key=lambda candidate: candidate[0])
        head = self._head(tested, strength)
        labels, bias = len(self._dataset.labels), 0.0
        if len(head.bias) > labels:
            bias = unknown_bias(judgement, self.targets, labels, self._config.unknown_cost)
            raised = head.bias.copy()
            raised[-1] += bias
            head, judgement = replace(head, bias=raised), judgement.biased(bias)
        temperature, _ = best_temperature(judgement, self.targets)
        accuracy = labelled_accuracy(judgement, self.targets, labels, temperature)
        return Fitted(head, temperature, strength, bias, judgement, accuracy)

    def head_without(self, test_fold: int | None, validation_fold: int, strength: float) -> Head:
        """The head that chose for `test_fold` on `validation_fold`, fitted without both."""
        tested = () if test_fold is None else (test_fold,)
        return self._head((*tested, validation_fold), strength)

    def _validate(self, folds: Iterable[int], without: tuple[int, ...], strength: float) -> Judgement:
        """Judge each of the folds by a head that saw neither it nor the folds in `without`."""
        logits, clips = [], []
        for fold in folds:
            head = self._head((*without, fold), strength)
            rows = (self._examples.copy == 0) & (self._folds[self._examples.clip] == fold)
            logits.append(head(self._examples.features[rows]))
            clips.append(self._examples.clip[rows])
        return Judgement(np.concatenate(logits), np.concatenate(clips))

    def _head(self, without: tuple[int, ...], strength: float) -> Head:
        """Head fitted on all folds but these."""
        key = {"examples": self._key, "without": sorted(without), "strength": strength}

        def compute() -> dict[str, NDArray[np.float32]]:
            rows = ~np.isin(self._folds[self._examples.clip], without)
            clip, copy = self._examples.clip[rows], self._examples.copy[rows]
            weights = window_weights(clip, copy)
            return vars(fit_head(self._examples.features[rows], self.targets[clip], weights, strength))

        return Head(**self._cache.arrays("head", key, compute))


def targets(dataset: Dataset) -> NDArray[np.int64]:
    """Output number of each clip's label, shape (clips,); `unknown` is the last output."""
    number = {label: index for index, label in enumerate((*dataset.labels, UNKNOWN))}
    return np.array([number[clip.label] for clip in dataset.clips])


def window_weights(clip: NDArray[np.int32], copy: NDArray[np.int32]) -> NDArray[np.float32]:
    """Weights, shape (n,): a clip counts once however it is cut; each two windows of a long recording, once.

    Without this, the length of the clips would decide which class the head prefers.
    """
    _, group, windows = np.unique(np.stack([clip, copy]), axis=1, return_inverse=True, return_counts=True)
    weights: NDArray[np.float32] = (1.0 / np.minimum(windows[group.reshape(-1)], 2)).astype(np.float32)
    return weights


def fit_head(
    features: NDArray[np.float16],
    target: NDArray[np.int64],
    weight: NDArray[np.float32],
    inverse_regularisation: float,
) -> Head:
    """Multinomial logistic regression on standardised features.

    Args:
        features: shape (n, features).
        target: shape (n,), output numbers 0 to outputs - 1, each at least once.
        weight: shape (n,).
        inverse_regularisation: scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import: `--help` should not wait

    mean = features.mean(axis=0, dtype=np.float32)
    # A feature that varies by less than an int8 step must not be blown up: it would be all rounding.
    scale = np.hypot(features.std(axis=0, dtype=np.float32), np.float32(_INT8_STEP))
    regression = LogisticRegression(C=inverse_regularisation, max_iter=200, tol=1e-3)
    regression.fit(standardise(features, mean, scale), target, sample_weight=weight)
    weights, bias = regression.coef_.T, regression.intercept_
    if weights.shape[1] == 1:  # two outputs: scikit-learn keeps the difference of their logits
        weights, bias = np.hstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return Head(mean, scale, weights.astype(np.float32), bias.astype(np.float32))


def splits(dataset: Dataset) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Each (test fold, validation fold, training folds) that `HeadTrainer` uses; for tests and reports."""
    folds = sorted({clip.fold for clip in dataset.clips})
    for test in dataset.judged_folds:
        for validation in dataset.judged_folds:
            if validation != test:
                yield test, validation, tuple(fold for fold in folds if fold not in (test, validation))
