"""Data of an experiment: dataset and configuration, windows, and backbone features. All steps share it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from training.data.ambience import Ambience, gate_ambience
from training.data.array_cache import Cache
from training.data.dataset import Dataset
from training.data.spectrograms import SpectrogramConfig, SpectrogramMaker, Spectrograms, WindowSample, draw_windows
from training.evaluation.scenes import SceneConfig
from training.fitting.backbone_features import EXPORT_WINDOWS, BackboneFeatures, Examples
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.head_trainer import HeadConfig
from training.models.backbone import BackboneConfig


@dataclass(frozen=True)
class ExperimentConfig:
    """Configuration of each stage."""

    spectrograms: SpectrogramConfig
    backbone: BackboneConfig
    head: HeadConfig
    fine_tune: FineTuneConfig
    scenes: SceneConfig = field(default_factory=SceneConfig)


class ExperimentData:
    """Windows of a dataset's clips, and their features by each network's backbone.

    Args:
        dataset: clips.
        config: configuration of each stage.
        cache: stores windows and features.
    """

    def __init__(self, dataset: Dataset, config: ExperimentConfig, cache: Cache) -> None:
        self.dataset = dataset
        self.config = config
        self.cache = cache
        self.maker = SpectrogramMaker(dataset, config.spectrograms, cache)
        self._latest_features: BackboneFeatures | None = None

    @property
    def networks(self) -> dict[str, int | None]:
        """Names of the networks to train, with the test fold of each; None for the one that ships."""
        return {**{f"fold-{fold}": fold for fold in self.dataset.evaluation_folds}, "all": None}

    @cached_property
    def parts(self) -> list[Spectrograms]:
        """Windows of the original clips, then of the augmented copies."""
        return self.maker.all()

    @property
    def examples(self) -> Examples:
        """Features of all windows and copies, by the backbone of the network that ships.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        return self.backbone_features(None).examples

    @cached_property
    def ambience(self) -> Ambience:
        """Windows of the ambience that the device's gate lets through."""
        return gate_ambience(self.dataset, self.config.spectrograms.features, self.cache, self.maker.key)

    def backbone_features(self, fold: int | None) -> BackboneFeatures:
        """Return the features by the backbone of a test fold. The latest ones stay in memory."""
        backbone = self.config.backbone.for_test_fold(fold)
        if self._latest_features is None or self._latest_features.backbone != backbone:
            self._latest_features = BackboneFeatures(backbone, self.parts, self.config.spectrograms.seed, self.cache)
        return self._latest_features

    def fold_windows(self, fold: int) -> WindowSample:
        """Return all windows of a fold's original clips."""
        rows = np.flatnonzero(self.dataset.clip_folds[self.parts[0].clip] == fold)
        return WindowSample(self.parts[0].quantized[rows], rows)

    def training_windows(self, folds: list[int]) -> WindowSample:
        """Return varied windows of some folds, for the calibration of an export."""
        clips = np.isin(self.dataset.clip_folds, folds)
        return draw_windows(self.parts, clips, EXPORT_WINDOWS, self.config.spectrograms.seed)
