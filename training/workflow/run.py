"""Run: prepare, train, evaluate, export and adapt. Each step continues with the files of the earlier ones.

OUTPUT/cache/             windows, features, quantization errors and fits, by content; can be deleted at any time
OUTPUT/adapted/           weights of `adapt`: fold-K.npz without fold K, and backbone.npz
OUTPUT/networks/fold-K/   network for test fold K, trained without it; networks/all/ is the one that ships
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
from training.data.array_cache import Cache
from training.data.dataset import Dataset, split_at_random
from training.data.spectrograms import WindowSample
from training.distillation.targets import MixtureWindowsConfig
from training.distillation.train_backbone import DistillationConfig
from training.evaluation.html_report import NetworkCurves, write_report
from training.evaluation.metrics import Predictions, cross_validation, predict_fold
from training.evaluation.model_card import write_model_card
from training.evaluation.pipeline_evaluation import PipelineResult, play_scenes
from training.evaluation.tensorboard import CurveWriter, read_curves
from training.export.bundle_writer import BundleInfo, export_bundle
from training.fitting.backbone_features import Examples
from training.fitting.fine_tuning import FineTuneConfig
from training.models.checkpoint import Network, load_network
from training.models.head import predict_logits
from training.workflow.adapt_backbone import adapt_backbone
from training.workflow.experiment_data import ExperimentConfig, ExperimentData
from training.workflow.network_fitter import NetworkFitter


class Run:
    """A dataset, a configuration, and the output folder of the steps.

    Args:
        dataset: clips.
        config: configuration of each stage.
        output: folder, created if needed.
        command: command line, for the model card.
        cache: cache shared with another run; None for a new one in `output`.
    """

    def __init__(
        self, dataset: Dataset, config: ExperimentConfig, output: Path, command: str, cache: Cache | None = None
    ) -> None:
        self.dataset = dataset
        self.config = config
        self.output = output
        self.data = ExperimentData(dataset, config, cache or Cache(output / "cache"))
        self._command = command

    def prepare(self) -> Examples:
        """Compute windows, and features by each network's backbone; return those of the network that ships.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        for fold in self.data.networks.values():
            examples = self.data.backbone_features(fold).examples  # one at a time, as each may take hundreds of MB
        return examples

    def adapt(
        self, teacher: Path, sounds: Sequence[Path], rehearsal: MixtureWindowsConfig, config: DistillationConfig
    ) -> Path:
        """Adapt the backbone to the clips (see `adapt_backbone`) and return the folder for `--weights`."""
        folder = self.output / "adapted"
        adapt_backbone(self.data, teacher, sounds, rehearsal, config, folder)
        return folder

    def train(self) -> dict[str, float]:
        """Train a network without each evaluation fold, and one on all; return validation accuracies by name.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        fitter, accuracies = NetworkFitter(self.data), {}
        for name, fold in self.data.networks.items():
            network, tuned = fitter.fit(fold)
            network.save(self.output / "networks" / name, tuned)
            accuracies[name] = network.settings["validation_accuracy"]
            self._write_curves(name, network)
        return accuracies

    def with_random_split(self) -> "Run":
        """Return the run on a random split, like the seed article: no copies, no fine-tuning; figures in OUTPUT/random.

        It leaks: see `split_at_random`.
        """
        spectrograms = replace(self.config.spectrograms, copies=0)
        backbone = self.config.backbone.for_test_fold(None)
        config = replace(self.config, spectrograms=spectrograms, backbone=backbone, fine_tune=FineTuneConfig())
        dataset = split_at_random(self.dataset, spectrograms.seed)
        return Run(dataset, config, self.output / "random", self._command, self.data.cache)

    def evaluate(self) -> dict[str, Any]:
        """Test each network on its test fold: float, int8 and through the pipeline. Write and return evaluation.json.

        Raises:
            ConfigError: a network is missing, or an int8 network disagrees with its float network.
        """
        predictions: dict[int, Predictions] = {}
        pipeline_results: dict[int, PipelineResult | None] = {}
        scenes, seed = self.config.scenes, self.config.spectrograms.seed
        for name, fold in self.data.networks.items():
            if fold is None:
                continue
            network, keras = self._load(name)
            folder = self.output / "folds" / str(fold)
            self._export(network, keras, folder, "0", {})
            bundle = load_bundle(folder)
            drawn = self.data.fold_windows(fold)
            logits = self._logits(network, keras, drawn)
            predictions[fold] = predict_fold(logits, self.data.parts[0].clip[drawn.rows], bundle, self.dataset)
            pipeline_results[fold] = (
                None if self.dataset.leaks else play_scenes(bundle, self.dataset, fold, scenes, seed)
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
        """Write the bundle of the network trained on all folds.

        Raises:
            ConfigError: training or evaluation is missing, the int8 network disagrees with the float network, or the
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
        network, keras = self._load("all")
        folder = self.output / "bundle"
        agreement = self._export(network, keras, folder, version, evaluation, name)
        bundle = load_bundle(folder)
        write_model_card(bundle, evaluation, agreement, self._command)
        return bundle

    def _write_curves(self, name: str, network: Network) -> None:
        writer = CurveWriter(self.output / "summaries" / name)
        writer.scalar("validation_accuracy/head", network.settings["validation_accuracy"], 0)
        for number, curve in enumerate(network.settings.get("fine_tune_curves", ())):
            writer.curve(f"validation_accuracy/fine_tune_{number}", curve)

    def _learning(self, name: str) -> NetworkCurves:
        network = load_network(self.output / "networks" / name)
        thresholds = {label: each.threshold for label, each in network.thresholds.items()}
        return NetworkCurves(thresholds, network.false_alarms, read_curves(self.output / "summaries" / name))

    def _load(self, name: str) -> tuple[Network, Any]:
        folder = self.output / "networks" / name
        network = load_network(folder)
        backbone = self.config.backbone.for_test_fold(network.settings["test_fold"])
        return network, network.to_keras(backbone, self.config.spectrograms.features.shape, folder)

    def _export(
        self,
        network: Network,
        keras: Any,
        folder: Path,
        version: str,
        evaluation: Mapping[str, Any],
        name: str = "fold",
    ) -> float:
        info = BundleInfo(
            name=name,
            version=version,
            labels=self.dataset.labels,
            features=self.config.spectrograms.features,
            temperature=network.temperature,
            thresholds=network.thresholds,
            unknown_output=len(network.head.bias) > len(self.dataset.labels),
            live_odds=network.live_odds,
            training={
                "data": self.dataset.name,
                "found": self.dataset.description,
                "command": self._command,
                **network.settings,
            },
            accuracy=evaluation,
        )
        drawn = self.data.training_windows(network.settings["train_folds"])
        return export_bundle(keras, drawn.log_mels, self._logits(network, keras, drawn), info, folder)

    def _logits(self, network: Network, keras: Any, drawn: WindowSample) -> NDArray[np.float32]:
        """Return float logits of windows: from cached features, or from the network itself if it was fine-tuned."""
        tuned = network.settings.get("fine_tune_epochs")
        if tuned:
            return predict_logits(keras, drawn.log_mels)
        return network.head(self.data.backbone_features(network.settings["test_fold"]).examples.features[drawn.rows])
