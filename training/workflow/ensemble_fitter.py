"""Ensemble fitter: fits the networks of one ensemble, their fusion, and the rule for live sound."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from device.model.manifest import ClipScoring, LiveScoring, Scoring
from training.data.windows import SampleWindows
from training.fitting import thresholds
from training.fitting.fusion import (
    LiveWindows,
    choose_clip_rule,
    choose_live_rule,
    choose_unknown_bias,
    fuse_windows,
    single_scoring,
)
from training.fitting.head_trainer import label_indices
from training.fitting.thresholds import ambience_spans
from training.models.checkpoint import TrainedEnsemble
from training.workflow.experiment_data import ExperimentData
from training.workflow.network_kind import FittedHeads, NetworkKind, live_head


class EnsembleFitter:
    """Fits ensembles of a dataset. All choices are made on validation folds (see `HeadTrainer`).

    Args:
        data: dataset, ambience and windows of live sound.
        kinds: kinds of networks, at most two, in the order of scoring.
    """

    def __init__(self, data: ExperimentData, kinds: Sequence[NetworkKind]) -> None:
        self._data = data
        self._kinds = kinds
        self._labels = len(data.dataset.labels)

    def fit(self, fold: int | None) -> TrainedEnsemble:
        """Fit the ensemble for a test fold; None for the one that ships.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        fitted: dict[str, FittedHeads] = {kind.name: kind.fit(fold) for kind in self._kinds}
        clip_rule, fitted = self._fuse_clips(fold, fitted)
        ambience = self._data.ambience
        rows, ambience_scores = self._predict(fold, fitted, ambience.windows, "features of ambience")
        live_rule = self._fuse_live(fold, fitted, ambience_scores)
        scoring = Scoring(order=tuple(fitted), clip=clip_rule, live=live_rule)
        scores = fuse_windows(ambience_scores, self._labels, scoring.live)
        validated = np.isin(self._data.dataset.clip_folds[: len(ambience.seconds)], self._validation_folds(fold))
        rule = thresholds.choose_live_rule(
            self._data.dataset.labels,
            ambience_spans(ambience, rows, scores),
            float(ambience.seconds[validated].sum()) / 3600,
            self._data.window_length,
            _live_odds(fitted, scoring.live),
            self._data.live_limits,
        )
        networks = {kind.name: kind.trained(fold, fitted[kind.name]) for kind in self._kinds}
        clips = self._data.dataset.clips
        settings = {
            "outputs": ambience_scores[0].shape[1],
            "test_fold": fold,
            "train_folds": sorted({clip.fold for clip in self._data.dataset.core.clips} - {fold}),
            "clips": len(clips),
            "validation_accuracy": {name: heads["clip"].validation_accuracy for name, heads in fitted.items()},
        }
        return TrainedEnsemble(networks, scoring, rule.odds, rule.thresholds, rule.false_alarms, settings)

    def _fuse_clips(
        self, fold: int | None, fitted: dict[str, FittedHeads]
    ) -> tuple[ClipScoring, dict[str, FittedHeads]]:
        """Choose the fusion for clips; return it with the heads that share its bias of `unknown`."""
        if len(self._kinds) == 1:
            return single_scoring(self._kinds[0].name).clip, fitted
        targets = label_indices(self._data.dataset)
        clips = [kind.predict_validation_clips(fold, fitted[kind.name]) for kind in self._kinds]
        clip, probabilities = clips[0][0], [each for _, each in clips]
        rule = choose_clip_rule(list(fitted), probabilities, clip, targets, self._labels)
        bias = choose_unknown_bias(probabilities, clip, targets, self._labels, rule)
        biased = {
            name: {**heads, "clip": heads["clip"].with_unknown_bias(bias)} if bias else heads
            for name, heads in fitted.items()
        }
        return rule, biased

    def _fuse_live(
        self, fold: int | None, fitted: Mapping[str, FittedHeads], ambience: Sequence[NDArray[np.float32]]
    ) -> LiveScoring:
        """Choose the fusion for live sound."""
        if len(self._kinds) == 1:
            return single_scoring(self._kinds[0].name).live
        windows = self._data.live_windows
        rows, sounds = self._predict(fold, fitted, windows, "features of live windows")
        live_windows = LiveWindows(sounds, label_indices(self._data.dataset)[windows.clip[rows]])
        return choose_live_rule(list(fitted), live_windows, ambience, self._labels)

    def _predict(
        self, fold: int | None, fitted: Mapping[str, FittedHeads], windows: SampleWindows, description: str
    ) -> tuple[NDArray[np.intp], list[NDArray[np.float32]]]:
        """Return rows of the validation folds, and their probabilities by each network."""
        predicted = [
            kind.predict_validation_windows(fold, fitted[kind.name], windows, f"{description}, {kind.name}")
            for kind in self._kinds
        ]
        return predicted[0][0], [probabilities for _, probabilities in predicted]

    def _validation_folds(self, fold: int | None) -> list[int]:
        return self._kinds[0].trainers["clip"].validation_folds(fold)


def _live_odds(fitted: Mapping[str, FittedHeads], rule: LiveScoring) -> float:
    """Return the initial live odds of the fusion.

    Odds are a factor on the probability of `unknown`, so the fusion adds their logarithms by weight.
    """
    odds = {name: heads[live_head(heads)].live_odds for name, heads in fitted.items()}
    return math.exp(sum(rule.weights[name] * math.log(each) for name, each in odds.items()))
