"""Data of an experiment: dataset and configuration, ambience, and windows of live sound. All steps share it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.manifest_network import AUDIOSET, INCEPTION
from device.types import UNKNOWN, Samples
from training.data.ambience import Ambience, gate_ambience
from training.data.array_cache import Cache
from training.data.dataset import Dataset
from training.data.parallel import THREADS, Workers
from training.data.spectrograms import SpectrogramConfig
from training.data.windows import SampleWindows, WindowCutter
from training.evaluation.scenes import SceneConfig
from training.fitting.audioset_features import BACKGROUND_COPIES, AudioSetConfig
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.head_trainer import HeadConfig
from training.fitting.thresholds import AUDIOSET_LIMITS, FUSED_LIMITS, INCEPTION_LIMITS, LiveLimits
from training.models.backbone import BackboneConfig
from training.workflow.audioset_kind import AudioSetKind
from training.workflow.inception_kind import InceptionKind
from training.workflow.network_kind import NetworkKind


@dataclass(frozen=True)
class ExperimentConfig:
    """Configuration of each stage."""

    spectrograms: SpectrogramConfig
    backbone: BackboneConfig
    head: HeadConfig
    fine_tune: FineTuneConfig
    scenes: SceneConfig = field(default_factory=SceneConfig)
    networks: tuple[str, ...] = (INCEPTION,)
    """Kinds of networks in the order of scoring."""
    audioset: AudioSetConfig | None = None
    """Configuration of the AudioSet network, if it is one of `networks`."""


class ExperimentData:
    """Data of a dataset that all networks share.

    Args:
        dataset: clips.
        config: configuration of each stage.
        cache: stores windows and features.
        workers: what the long steps run on.
    """

    def __init__(self, dataset: Dataset, config: ExperimentConfig, cache: Cache, workers: Workers = THREADS) -> None:
        self.dataset = dataset
        self.config = config
        self.cache = cache
        self.workers = workers
        features = config.spectrograms.features
        self.window_length = features.window_length
        self._cutter = WindowCutter(
            dataset.core,
            features.sample_rate,
            features.window_length,
            BACKGROUND_COPIES,
            config.spectrograms.seed,
            workers,
        )

    @property
    def networks(self) -> dict[str, int | None]:
        """Names of the ensembles to train, with the test fold of each; None for the one that ships."""
        return {**{f"fold-{fold}": fold for fold in self.dataset.evaluation_folds}, "all": None}

    @cached_property
    def kinds(self) -> tuple[NetworkKind, ...]:
        """Kinds of networks, in the order of scoring.

        Raises:
            ConfigError: a name is unknown, or the AudioSet network has no weights.
        """
        return tuple(self._kind(name) for name in self.config.networks)

    @cached_property
    def inception(self) -> InceptionKind:
        """Inception on this dataset."""
        config = self.config
        head = replace(config.head, ambience_with_labels=AUDIOSET in config.networks)
        return InceptionKind(
            self.dataset, config.spectrograms, config.backbone, head, config.fine_tune, self.cache, self.workers
        )

    @property
    def live_limits(self) -> LiveLimits:
        """Limits within which the live rule is chosen."""
        if AUDIOSET not in self.config.networks:
            return INCEPTION_LIMITS
        return FUSED_LIMITS if INCEPTION in self.config.networks else AUDIOSET_LIMITS

    @cached_property
    def ambience(self) -> Ambience:
        """Windows of the ambience that the device's gate lets through."""
        return gate_ambience(self._cutter, self.cache)

    @cached_property
    def live_windows(self) -> SampleWindows:
        """One window over a background of each labelled clip."""
        dataset = self._cutter.dataset
        labelled = np.array([number for number, clip in enumerate(dataset.clips) if clip.label != UNKNOWN], np.int32)

        def samples(rows: NDArray[np.intp]) -> Iterator[Samples]:
            cut = self._cutter.cutter(_LIVE_COPY)
            return (cut(int(number), dataset.clips[number])[0] for number in labelled[rows])

        key = {"clips": self._cutter.digests, **self._cutter.copy_key(_LIVE_COPY)}
        return SampleWindows(labelled, samples, {"live": key})

    def _kind(self, name: str) -> NetworkKind:
        if name == INCEPTION:
            return self.inception
        if name == AUDIOSET and self.config.audioset is not None:
            seed = self.config.spectrograms.seed
            return AudioSetKind(self.dataset, self.config.audioset, seed, self.cache, self.workers)
        raise ConfigError(f"no network {name}: choose {AUDIOSET} with its weights, {INCEPTION}, or both")


_LIVE_COPY = 1000
"""Number of the copy that live rules are compared on. No head is fitted on it."""
