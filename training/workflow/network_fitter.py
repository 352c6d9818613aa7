"""One network: a head, fitted and chosen, the rule by which it judges what a microphone hears, and fine-tuning."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from training.fitting.fine_tuning import TrainingWindows, best_epoch, fine_tune_with_validation
from training.fitting.head_trainer import FittedHead, HeadTrainer
from training.fitting.thresholds import LiveRule, ambience_spans, choose_live_rule
from training.models.checkpoint import Network
from training.workflow.experiment_data import Material


class NetworkFitter:
    """Fits networks to what the backbones make of a dataset.

    Args:
        material: the dataset's windows and features.
    """

    def __init__(self, material: Material) -> None:
        self._material = material
        self._heads = HeadTrainer(material.dataset, material.sight, material.recipe.head, material.cache)

    def fit(self, fold: int | None) -> tuple[Network, Any]:
        """Make the network that never sees a fold, or, for None, the one of all folds.

        Returns:
            The network, and its fine-tuned Keras one, None where the linear head on the frozen backbone is the best.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        fitted = self._heads.fit(fold)
        rule = self._live_rule(fitted, fold)
        network = self._network(fitted, rule, fold)
        tuned, choices = self._fine_tune(network, fold)
        return replace(network, settings={**network.settings, **choices}), tuned

    def _live_rule(self, fitted: FittedHead, fold: int | None) -> LiveRule:
        """Chosen on the ambience of the folds that validate for a test fold."""
        dataset, ambience = self._material.dataset, self._material.ambience
        rows, scores = self._heads.predict_validation_folds(fold, fitted, ambience.windows, "features of ambience")
        validated = np.isin(dataset.clip_folds, self._heads.validation_folds(fold))
        hours = float(ambience.seconds[validated].sum()) / 3600
        features = self._material.recipe.spectrograms.features
        return choose_live_rule(
            dataset.labels, ambience_spans(ambience, rows, scores), hours, features, fitted.live_odds
        )

    def _network(self, fitted: FittedHead, rule: LiveRule, fold: int | None) -> Network:
        recipe = self._material.recipe
        settings = {
            "spectrograms": asdict(recipe.spectrograms),
            "backbone": recipe.backbone.for_test_fold(fold).key(),
            "head": asdict(recipe.head),
            "fine_tune": asdict(recipe.fine_tune),
            "outputs": len(fitted.head.bias),
            "test_fold": fold,
            "train_folds": sorted({clip.fold for clip in self._material.dataset.clips} - {fold}),
            "shrinkage": fitted.shrinkage,
            "unknown_bias": fitted.unknown_bias,
            "live_odds_start": fitted.live_odds,
            "validation_accuracy": fitted.validation_accuracy,
        }
        return Network(fitted.head, fitted.temperature, rule.odds, rule.thresholds, rule.false_alarms, settings)

    def _fine_tune(self, network: Network, fold: int | None) -> tuple[Any, dict[str, Any]]:
        """Fine-tuned Keras network, or None where validation prefers the linear head; and how that was chosen."""
        recipe, shape = self._material.recipe, self._material.recipe.spectrograms.features.shape
        if not recipe.fine_tune.epochs:
            return None, {}
        shrinkage = network.settings["shrinkage"]

        def start(validation: int | None) -> Any:
            judged, head = fold, network.head
            if validation is not None:
                judged, head = validation, self._heads.head(validation, fold, shrinkage)
            return replace(network, head=head).to_keras(recipe.backbone.for_test_fold(judged), shape)

        windows = TrainingWindows(self._material.parts, self._heads.targets)
        dataset, seed = self._material.dataset, recipe.spectrograms.seed
        tuned, curves = fine_tune_with_validation(dataset, windows, fold, start, recipe.fine_tune, seed)
        return tuned, {"fine_tune_curves": curves, "fine_tune_epochs": best_epoch(curves)}
