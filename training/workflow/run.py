"""Run: prepare, train, evaluate, export and adapt. Each step continues with the files of the earlier ones.

OUTPUT/cache/             windows, features, quantization errors and fits, by content; can be deleted at any time
OUTPUT/adapted/           weights of `adapt`: fold-K.npz without fold K, and backbone.npz
OUTPUT/networks/fold-K/   networks for test fold K, trained without it; networks/all/ are those that ship
OUTPUT/folds/K/           bundle of networks/fold-K
OUTPUT/evaluation.json    figures; OUTPUT/report.html shows them
OUTPUT/summaries/         training curves for TensorBoard
OUTPUT/bundle/            bundle that ships, with its model card
OUTPUT/random/            results of `evaluate --protocol random`, without a bundle, because they leak
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.bundle import Bundle, load_bundle
from device.model.classifier import softmax
from training.data.array_cache import Cache
from training.data.dataset import Dataset, split_at_random
from training.data.parallel import THREADS, Workers
from training.distillation.targets import MixtureWindowsConfig
from training.distillation.train_backbone import DistillationConfig
from training.evaluation.html_report import NetworkCurves, write_report
from training.evaluation.metrics import Predictions, cross_validation, predict_fold
from training.evaluation.model_card import write_model_card
from training.evaluation.pipeline_evaluation import PipelineResult, play_scenes
from training.evaluation.tensorboard import CurveWriter, read_curves
from training.export.bundle_writer import BundleInfo, export_bundle
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.fusion import fuse_windows
from training.models.checkpoint import TrainedEnsemble, load_ensemble
from training.workflow.adapt_backbone import adapt_backbone
from training.workflow.ensemble_fitter import EnsembleFitter
from training.workflow.experiment_data import ExperimentConfig, ExperimentData


class Run:
    """A dataset, a configuration, and the output folder of the steps.

    Args:
        dataset: clips.
        config: configuration of each stage.
        output: folder, created if needed.
        command: command line, for the model card.
        cache: cache shared with another run; None for a new one in `output`.
        workers: what features are extracted and networks are judged on.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: ExperimentConfig,
        output: Path,
        command: str,
        cache: Cache | None = None,
        workers: Workers = THREADS,
    ) -> None:
        self.dataset = dataset
        self.config = config
        self.output = output
        self.data = ExperimentData(dataset, config, cache or Cache(output / "cache"), workers)
        self._command = command

    def prepare(self) -> dict[str, tuple[int, int]]:
        """Compute windows and features of each network; return the shape of those of the networks that ship.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        shapes: dict[str, tuple[int, int]] = {}
        for kind in self.data.kinds:
            for fold in self.data.networks.values():  # one at a time, as each may take hundreds of MB
                windows, features = kind.prepare(fold).features.shape
                shapes[kind.name] = windows, features
        return shapes

    def adapt(
        self, teacher: Path, sounds: Sequence[Path], rehearsal: MixtureWindowsConfig, config: DistillationConfig
    ) -> Path:
        """Adapt the backbone to the clips (see `adapt_backbone`) and return the folder for `--weights`."""
        folder = self.output / "adapted"
        adapt_backbone(self.data, teacher, sounds, rehearsal, config, folder)
        return folder

    def train(self) -> dict[str, dict[str, float]]:
        """Train networks without each evaluation fold, and on all; return validation accuracies by name.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        fitter, accuracies = EnsembleFitter(self.data, self.data.kinds), {}
        for name, fold in self.data.networks.items():
            ensemble = fitter.fit(fold)
            ensemble.save(self.output / "networks" / name)
            accuracies[name] = ensemble.settings["validation_accuracy"]
            self._write_curves(name, ensemble)
        return accuracies

    def with_random_split(self) -> "Run":
        """Return the run on a random split, like the seed article: no copies, no fine-tuning; figures in OUTPUT/random.

        It leaks: see `split_at_random`.
        """
        spectrograms = replace(self.config.spectrograms, copies=0)
        backbone = self.config.backbone.for_test_fold(None)
        audioset = replace(self.config.audioset, copies=0) if self.config.audioset else None
        config = replace(
            self.config, spectrograms=spectrograms, backbone=backbone, fine_tune=FineTuneConfig(), audioset=audioset
        )
        dataset = split_at_random(self.dataset, spectrograms.seed)
        return Run(dataset, config, self.output / "random", self._command, self.data.cache, self.data.workers)

    def evaluate(self) -> dict[str, Any]:
        """Test networks on their test fold: float, as shipped, through the pipeline. Write and return evaluation.json.

        Raises:
            ConfigError: a network is missing, or a converted network disagrees with its float network.
        """
        predictions: dict[int, Predictions] = {}
        pipeline_results: dict[int, PipelineResult | None] = {}
        scenes, seed = self.config.scenes, self.config.spectrograms.seed
        for name, fold in self.data.networks.items():
            if fold is None:
                continue
            ensemble = load_ensemble(self.output / "networks" / name)
            folder = self.output / "folds" / str(fold)
            self._export(ensemble, folder, "0", {})
            bundle = load_bundle(folder)
            workers, probabilities = self.data.workers, self._float_probabilities(ensemble, fold)
            predictions[fold] = predict_fold(*probabilities, bundle, self.dataset, workers)
            pipeline_results[fold] = (
                None if self.dataset.leaks else play_scenes(bundle, self.dataset, fold, scenes, seed, workers)
            )
        result = cross_validation(predictions, pipeline_results, self.dataset)
        result["scenes"] = str(scenes)
        (self.output / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        write_report(
            self.output / "report.html",
            result,
            list(predictions.values()),
            self.dataset,
            self.config.spectrograms.features,
            {name: self._learning(name) for name in self.data.networks},
            self._command,
        )
        return result

    def export(self, name: str, version: str) -> Bundle:
        """Write the bundle of the networks trained on all folds.

        Raises:
            ConfigError: training or evaluation is missing, a converted network disagrees with its float network, or the
                split leaks.
        """
        if self.dataset.leaks:
            raise ConfigError("not exported: a random split leaks, so its networks must not ship. Use the folds")
        try:
            evaluation = json.loads((self.output / "evaluation.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(
                f"no {self.output / 'evaluation.json'}, and a bundle contains its accuracy. "
                "Run `earshot-train evaluate` first"
            ) from error
        folder = self.output / "bundle"
        agreement = self._export(load_ensemble(self.output / "networks" / "all"), folder, version, evaluation, name)
        bundle = load_bundle(folder)
        write_model_card(bundle, evaluation, agreement, self._command)
        return bundle

    def _write_curves(self, name: str, ensemble: TrainedEnsemble) -> None:
        writer = CurveWriter(self.output / "summaries" / name)
        for kind, network in ensemble.networks.items():
            for head, trained in network.heads.items():
                writer.scalar(f"validation_accuracy/{kind}_{head}", trained.settings["validation_accuracy"], 0)
            for number, curve in enumerate(network.settings.get("fine_tune_curves", ())):
                writer.curve(f"validation_accuracy/fine_tune_{number}", curve)

    def _learning(self, name: str) -> NetworkCurves:
        ensemble = load_ensemble(self.output / "networks" / name)
        thresholds = {label: each.threshold for label, each in ensemble.thresholds.items()}
        curves = read_curves(self.output / "summaries" / name)
        return NetworkCurves(thresholds, ensemble.false_alarms, curves, self.data.live_limits.false_alarms_per_hour)

    def _export(
        self,
        ensemble: TrainedEnsemble,
        folder: Path,
        version: str,
        evaluation: Mapping[str, Any],
        name: str = "fold",
    ) -> dict[str, float]:
        fold, train_folds = ensemble.settings["test_fold"], ensemble.settings["train_folds"]
        parts = {kind.name: kind.part(ensemble.networks[kind.name], fold, train_folds) for kind in self.data.kinds}
        networks = {
            kind: {**network.settings, "heads": {head: dict(each.settings) for head, each in network.heads.items()}}
            for kind, network in ensemble.networks.items()
        }
        info = BundleInfo(
            name=name,
            version=version,
            labels=self.dataset.labels,
            scoring=ensemble.scoring,
            thresholds=ensemble.thresholds,
            unknown_output=ensemble.settings["outputs"] > len(self.dataset.labels),
            live_odds=ensemble.live_odds,
            training={
                "data": self.dataset.name,
                "found": self.dataset.description,
                "command": self._command,
                **ensemble.settings,
                "networks": networks,
            },
            accuracy=evaluation,
        )
        return export_bundle(parts, info, folder)

    def _float_probabilities(
        self, ensemble: TrainedEnsemble, fold: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the windows of a fold: number of the clip, and probabilities of the float networks together."""
        probabilities = []
        for kind in self.data.kinds:
            network = ensemble.networks[kind.name]
            clip, logits = kind.test_logits(network, fold)
            probabilities.append(softmax(logits / network.heads["clip"].temperature))
        return clip, fuse_windows(probabilities, len(self.dataset.labels), ensemble.scoring.clip)
