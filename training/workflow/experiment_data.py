"""What all steps share: a dataset and a recipe, the windows cut from it, and what the backbones make of them."""

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
    """One config for each stage."""

    spectrograms: SpectrogramConfig
    backbone: BackboneConfig
    head: HeadConfig
    fine_tune: FineTuneConfig
    scenes: SceneConfig = field(default_factory=SceneConfig)


class ExperimentData:
    """Windows of a dataset's clips, and their features by each network's backbone.

    Args:
        dataset: clips.
        recipe: how they are learned.
        cache: where windows and features are kept.
    """

    def __init__(self, dataset: Dataset, config: ExperimentConfig, cache: Cache) -> None:
        self.dataset = dataset
        self.config = config
        self.cache = cache
        self.maker = SpectrogramMaker(dataset, config.spectrograms, cache)
        self._latest_features: BackboneFeatures | None = None

    @property
    def networks(self) -> dict[str, int | None]:
        """Names of the networks to train, and the fold that each never sees: none for the one that ships."""
        return {**{f"fold-{fold}": fold for fold in self.dataset.evaluation_folds}, "all": None}

    @cached_property
    def parts(self) -> list[Spectrograms]:
        """The windows of the clips as they are, then the augmented copies."""
        return self.maker.all()

    @property
    def examples(self) -> Examples:
        """Features of all windows and copies as the network that ships gets them.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        return self.backbone_features(None).examples

    @cached_property
    def ambience(self) -> Ambience:
        """What the device looks at in ambience."""
        return gate_ambience(self.dataset, self.config.spectrograms.features, self.cache, self.maker.key)

    def backbone_features(self, fold: int | None) -> BackboneFeatures:
        """What the backbone of a fold's network makes of the windows. The last one stays in memory."""
        backbone = self.config.backbone.for_test_fold(fold)
        if self._latest_features is None or self._latest_features.backbone != backbone:
            self._latest_features = BackboneFeatures(backbone, self.parts, self.config.spectrograms.seed, self.cache)
        return self._latest_features

    def fold_windows(self, fold: int) -> WindowSample:
        """All windows of a fold's clips as they are."""
        rows = np.flatnonzero(self.dataset.clip_folds[self.parts[0].clip] == fold)
        return WindowSample(self.parts[0].quantized[rows], rows)

    def training_windows(self, folds: list[int]) -> WindowSample:
        """Varied windows of some folds, to calibrate an export with."""
        clips = np.isin(self.dataset.clip_folds, folds)
        return draw_windows(self.parts, clips, EXPORT_WINDOWS, self.config.spectrograms.seed)
