"""Inception: an ImageNet backbone on log-mels, quantized to int8."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from device.model.manifest_network import INCEPTION
from training.data.array_cache import Cache
from training.data.dataset import Dataset
from training.data.parallel import THREADS, Workers
from training.data.spectrograms import SpectrogramConfig, SpectrogramMaker, Spectrograms, WindowSample, draw_windows
from training.export.bundle_writer import CALIBRATION_WINDOWS, NetworkPart
from training.fitting.backbone_features import EXPORT_WINDOWS, BackboneFeatures, Examples
from training.fitting.fine_tuning import FineTuneConfig, TrainingWindows, best_epoch, fine_tune_with_validation
from training.fitting.fitted_head import FittedHead
from training.fitting.head_trainer import HeadConfig, HeadTrainer
from training.models.backbone import BackboneConfig, build_backbone
from training.models.checkpoint import TrainedNetwork
from training.models.head import Head, attach_head, predict_logits
from training.quantization.tflite import quantize_network
from training.workflow.network_kind import NetworkKind


class InceptionKind(NetworkKind):
    """Inception V3 or another backbone of keras.applications, with one head.

    Clips that only train are left out: on this network they have no effect or a bad one.

    Args:
        dataset: clips.
        spectrograms: log-mels and copies.
        backbone: backbone, its weights and its layers.
        head: candidates and costs of the head.
        fine_tuning: fine-tuning of the backbone.
        cache: stores windows, features and heads.
        workers: what windows and features are computed on.
    """

    name: ClassVar[str] = INCEPTION

    def __init__(
        self,
        dataset: Dataset,
        spectrograms: SpectrogramConfig,
        backbone: BackboneConfig,
        head: HeadConfig,
        fine_tuning: FineTuneConfig,
        cache: Cache,
        workers: Workers = THREADS,
    ) -> None:
        self._dataset = dataset.core
        self._spectrograms = spectrograms
        self._backbone = backbone
        self._head = head
        self._fine_tuning = fine_tuning
        self._cache = cache
        self.maker = SpectrogramMaker(self._dataset, spectrograms, cache, workers)
        self._latest_features: BackboneFeatures | None = None
        super().__init__({"clip": HeadTrainer(self._dataset, self.features, head, cache)})

    @cached_property
    def parts(self) -> list[Spectrograms]:
        """Windows of the original clips, then of the augmented copies."""
        return self.maker.all()

    def features(self, fold: int | None) -> BackboneFeatures:
        """Return the features by the backbone of a test fold. The latest ones stay in memory."""
        backbone = self._backbone.for_test_fold(fold)
        if self._latest_features is None or self._latest_features.backbone != backbone:
            seed = self._spectrograms.seed
            self._latest_features = BackboneFeatures(backbone, self.parts, self.maker, seed, self._cache)
        return self._latest_features

    def prepare(self, fold: int | None) -> Examples:
        """See `NetworkKind`."""
        return self.features(fold).examples

    def settings(self, fold: int | None) -> dict[str, Any]:
        """See `NetworkKind`."""
        return {
            "spectrograms": asdict(self._spectrograms),
            "backbone": self._backbone.for_test_fold(fold).key(),
            "head": asdict(self._head),
            "fine_tune": asdict(self._fine_tuning),
        }

    def trained(self, fold: int | None, fitted: Mapping[str, FittedHead]) -> TrainedNetwork:
        """Return the network; fine-tuned, if validation recommends it."""
        network = super().trained(fold, fitted)
        if not self._fine_tuning.epochs:
            return network
        trainer, shrinkage = self.trainers["clip"], fitted["clip"].shrinkage

        def start(validation: int | None) -> Any:
            held_out_fold, head = fold, fitted["clip"].head
            if validation is not None:
                held_out_fold, head = validation, trainer.head(validation, fold, shrinkage)
            return self._attach(head, held_out_fold)

        windows = TrainingWindows(self.parts, trainer.targets)
        tuned, curves = fine_tune_with_validation(
            self._dataset, windows, fold, start, self._fine_tuning, self._spectrograms.seed
        )
        choices = {"fine_tune_curves": curves, "fine_tune_epochs": best_epoch(curves)}
        return replace(network, settings={**network.settings, **choices}, tuned=tuned)

    def to_keras(self, network: TrainedNetwork, fold: int | None) -> Any:
        """Build the whole network of a test fold: log-mels (n, mel_bands, frames, 1) -> logits (n, outputs)."""
        keras = self._attach(network.heads["clip"].head, fold)
        if network.tuned is not None:
            keras.load_weights(network.tuned)
        return keras

    def test_logits(self, network: TrainedNetwork, fold: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See `NetworkKind`."""
        drawn = self.fold_windows(fold)
        keras = self.to_keras(network, fold) if network.tuned is not None else None
        return self.parts[0].clip[drawn.rows], self.logits(network, keras, fold, drawn)

    def part(self, network: TrainedNetwork, fold: int | None, train_folds: list[int]) -> NetworkPart:
        """See `NetworkKind`."""
        keras, drawn = self.to_keras(network, fold), self.training_windows(train_folds)
        logits = self.logits(network, keras, fold, drawn)
        content = quantize_network(keras, drawn.log_mels[:CALIBRATION_WINDOWS], logits[:CALIBRATION_WINDOWS])
        return NetworkPart(
            content=content,
            features=self._spectrograms.features,
            outputs={"clip": logits.shape[1]},
            temperature={"clip": network.heads["clip"].temperature},
            classes=None,
            log_mels=drawn.log_mels,
            logits=logits,
        )

    def logits(self, network: TrainedNetwork, keras: Any, fold: int | None, drawn: WindowSample) -> NDArray[np.float32]:
        """Return float logits of windows: from cached features, or from the network itself if it was fine-tuned."""
        if network.tuned is not None:
            return predict_logits(keras, drawn.log_mels)
        return network.heads["clip"].head(self.features(fold).examples.features[drawn.rows])

    def fold_windows(self, fold: int) -> WindowSample:
        """Return all windows of a fold's original clips."""
        rows = np.flatnonzero(self._dataset.clip_folds[self.parts[0].clip] == fold)
        return WindowSample(self.parts[0].quantized[rows], rows)

    def training_windows(self, folds: list[int]) -> WindowSample:
        """Return varied windows of some folds, for the calibration of an export."""
        clips = np.isin(self._dataset.clip_folds, folds)
        return draw_windows(self.parts, clips, EXPORT_WINDOWS, self._spectrograms.seed)

    def _attach(self, head: Head, fold: int | None) -> Any:
        backbone = build_backbone(self._backbone.for_test_fold(fold), self._spectrograms.features.shape)
        return attach_head(backbone, head)
