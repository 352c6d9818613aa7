"""Kinds of networks: features of windows -> heads -> TFLite part of a bundle. One class for each kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.data.windows import SampleWindows
from training.export.bundle_writer import NetworkPart
from training.fitting.backbone_features import Examples
from training.fitting.fitted_head import FittedHead
from training.fitting.head_trainer import HeadTrainer
from training.models.checkpoint import TrainedHead, TrainedNetwork

FittedHeads = Mapping[str, FittedHead]
"""Heads of one network: `clip`, and `live` if it has a head of its own for live sound."""


class NetworkKind(ABC):
    """Base class of the kinds of networks.

    Args:
        trainers: trainer of each head: `clip`, and `live` if the network has a head of its own for live sound.
    """

    name: ClassVar[str]
    """Name of the network in the bundle."""

    def __init__(self, trainers: Mapping[str, HeadTrainer]) -> None:
        self.trainers = trainers

    def fit(self, fold: int | None) -> dict[str, FittedHead]:
        """Fit the heads for a test fold; None for those of the network that ships.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        return {head: trainer.fit(fold) for head, trainer in self.trainers.items()}

    def predict_validation_clips(
        self, fold: int | None, fitted: FittedHeads
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the windows of the validation folds: number of the clip, and probabilities, shape (n, outputs)."""
        return self.trainers["clip"].predict_validation_clips(fold, fitted["clip"])

    def predict_validation_windows(
        self, fold: int | None, fitted: FittedHeads, windows: SampleWindows, description: str
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return rows of live sound in the validation folds, and their probabilities, shape (rows, outputs)."""
        head = live_head(self.trainers)
        return self.trainers[head].predict_validation_folds(fold, fitted[head], windows, description)

    def trained(self, fold: int | None, fitted: FittedHeads) -> TrainedNetwork:
        """Return the network with its heads and settings."""
        heads = {
            name: TrainedHead(
                each.head,
                each.temperature,
                {
                    "shrinkage": each.shrinkage,
                    "unknown_bias": each.unknown_bias,
                    "live_odds_start": each.live_odds,
                    "validation_accuracy": each.validation_accuracy,
                },
            )
            for name, each in fitted.items()
        }
        return TrainedNetwork(heads, self.settings(fold))

    @abstractmethod
    def settings(self, fold: int | None) -> dict[str, Any]:
        """Return the configuration of the network for a test fold, as JSON."""

    @abstractmethod
    def prepare(self, fold: int | None) -> Examples:
        """Return the features of all windows for a test fold, computed or from the cache.

        Raises:
            InputError: a clip or the weights are unreadable.
        """

    @abstractmethod
    def test_logits(self, network: TrainedNetwork, fold: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the windows of a fold: number of the clip, and logits of the float network's head for clips."""

    @abstractmethod
    def part(self, network: TrainedNetwork, fold: int | None, train_folds: list[int]) -> NetworkPart:
        """Convert the network for the bundle.

        Args:
            network: heads and settings.
            fold: test fold of the network; None for the network that ships.
            train_folds: folds that it was trained on, for windows to compare with the float network.
        """


def live_head(heads: Mapping[str, Any]) -> str:
    """Return the name of the head for live sound."""
    return "live" if "live" in heads else "clip"
