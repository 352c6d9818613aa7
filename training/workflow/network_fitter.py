"""Network fitter: fits head, live rule and fine-tuning of one network."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from training.fitting.fine_tuning import TrainingWindows, best_epoch, fine_tune_with_validation
from training.fitting.head_trainer import FittedHead, HeadTrainer
from training.fitting.thresholds import LiveScoring, ambience_spans, choose_live_rule
from training.models.checkpoint import Network
from training.workflow.experiment_data import ExperimentData


class NetworkFitter:
    """Fits networks to the backbone features of a dataset.

    Args:
        data: windows and features of the dataset.
    """

    def __init__(self, data: ExperimentData) -> None:
        self._data = data
        self._trainer = HeadTrainer(data.dataset, data.backbone_features, data.config.head, data.cache)

    def fit(self, fold: int | None) -> tuple[Network, Any]:
        """Fit the network for a test fold; None for the network of all folds.

        Returns:
            The network, and its fine-tuned Keras network; None if the linear head on the frozen backbone is better.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        fitted = self._trainer.fit(fold)
        rule = self._live_rule(fitted, fold)
        network = self._network(fitted, rule, fold)
        tuned, choices = self._fine_tune(network, fold)
        return replace(network, settings={**network.settings, **choices}), tuned

    def _live_rule(self, fitted: FittedHead, fold: int | None) -> LiveScoring:
        """Choose the live rule on the ambience of the validation folds."""
        dataset, ambience = self._data.dataset, self._data.ambience
        rows, scores = self._trainer.predict_validation_folds(fold, fitted, ambience.windows, "features of ambience")
        validated = np.isin(dataset.clip_folds, self._trainer.validation_folds(fold))
        hours = float(ambience.seconds[validated].sum()) / 3600
        features = self._data.config.spectrograms.features
        return choose_live_rule(
            dataset.labels, ambience_spans(ambience, rows, scores), hours, features, fitted.live_odds
        )

    def _network(self, fitted: FittedHead, rule: LiveScoring, fold: int | None) -> Network:
        config = self._data.config
        settings = {
            "spectrograms": asdict(config.spectrograms),
            "backbone": config.backbone.for_test_fold(fold).key(),
            "head": asdict(config.head),
            "fine_tune": asdict(config.fine_tune),
            "outputs": len(fitted.head.bias),
            "test_fold": fold,
            "train_folds": sorted({clip.fold for clip in self._data.dataset.clips} - {fold}),
            "shrinkage": fitted.shrinkage,
            "unknown_bias": fitted.unknown_bias,
            "live_odds_start": fitted.live_odds,
            "validation_accuracy": fitted.validation_accuracy,
        }
        return Network(fitted.head, fitted.temperature, rule.odds, rule.thresholds, rule.false_alarms, settings)

    def _fine_tune(self, network: Network, fold: int | None) -> tuple[Any, dict[str, Any]]:
        """Return the fine-tuned Keras network, None if the linear head is better; and the choices, for the settings."""
        config, shape = self._data.config, self._data.config.spectrograms.features.shape
        if not config.fine_tune.epochs:
            return None, {}
        shrinkage = network.settings["shrinkage"]

        def start(validation: int | None) -> Any:
            held_out_fold, head = fold, network.head
            if validation is not None:
                held_out_fold, head = validation, self._trainer.head(validation, fold, shrinkage)
            return replace(network, head=head).to_keras(config.backbone.for_test_fold(held_out_fold), shape)

        windows = TrainingWindows(self._data.parts, self._trainer.targets)
        dataset, seed = self._data.dataset, config.spectrograms.seed
        tuned, curves = fine_tune_with_validation(dataset, windows, fold, start, config.fine_tune, seed)
        return tuned, {"fine_tune_curves": curves, "fine_tune_epochs": best_epoch(curves)}
