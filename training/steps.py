"""The steps, prepare, train, evaluate, export, and adapt: what the command line joins. Each picks up the last's files.

OUTPUT/cache/             windows, features, their rounding and fits, by content; may be deleted at any time
OUTPUT/adapted/           `adapt`'s weights: fold-K.npz without fold K, and backbone.npz
OUTPUT/networks/fold-K/   trained without fold K, to be tested on it; networks/all/ is the one that ships
OUTPUT/folds/K/           bundle of networks/fold-K
OUTPUT/evaluation.json    figures; OUTPUT/report.html shows them
OUTPUT/summaries/         curves of training, for TensorBoard
OUTPUT/bundle/            the bundle that ships, with its model card
OUTPUT/random/            the same of `evaluate --protocol random`, but for the bundle: it leaks
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.bundle import Bundle, load_bundle
from device.errors import ConfigError
from training.ambience import Ambience, hear_ambience
from training.backbone import BackboneConfig, weights_name
from training.cache import Cache
from training.dataset import Dataset, split_at_random
from training.evaluate import Verdicts, cross_validation, judge
from training.export import BundleInfo, export_bundle
from training.finetune import FineTuneConfig, Pool, best_epoch, tune
from training.html_report import Learning, write_report
from training.lesson import LessonConfig, hear_clips, prepare_lesson
from training.listening import Heard, hear
from training.model import predict
from training.network import Network, load_network
from training.report import model_card
from training.scenes import SceneConfig
from training.sight import EXPORT_WINDOWS, Examples, Sight
from training.spectrograms import Drawn, SpectrogramConfig, SpectrogramMaker, Spectrograms, varied_windows
from training.summaries import Summaries, read_curves
from training.teach import TeachConfig, first_guess, look, teach
from training.thresholds import LiveRule, choose_live_rule, soundings
from training.train import Fitted, HeadConfig, HeadTrainer, targets

_FALSE_ALARMS = "false_alarms.json"


@dataclass(frozen=True)
class Recipe:
    """One config for each stage."""

    spectrograms: SpectrogramConfig
    backbone: BackboneConfig
    head: HeadConfig
    fine_tune: FineTuneConfig
    scenes: SceneConfig = field(default_factory=SceneConfig)


class Run:
    """A dataset, a recipe, and the folder that the steps write to.

    Args:
        dataset: clips.
        recipe: how they are learned.
        output: folder, made when needed.
        command: what the user typed, for the model card.
        cache: another run's, to share; None for its own in `output`.
    """

    def __init__(
        self, dataset: Dataset, recipe: Recipe, output: Path, command: str, cache: Cache | None = None
    ) -> None:
        self.dataset = dataset
        self.recipe = recipe
        self.output = output
        self._command = command
        self._cache = cache or Cache(output / "cache")
        self._maker = SpectrogramMaker(dataset, recipe.spectrograms, self._cache)
        self._last_sight: Sight | None = None

    @cached_property
    def parts(self) -> list[Spectrograms]:
        """The windows of the clips as they are, then the augmented copies."""
        return self._maker.all()

    def _settings(self, fold: int | None) -> dict[str, Any]:
        return {
            "spectrograms": asdict(self.recipe.spectrograms),
            "backbone": self.recipe.backbone.without(fold).key(),
            "head": asdict(self.recipe.head),
            "fine_tune": asdict(self.recipe.fine_tune),
            "outputs": len(set(targets(self.dataset).tolist())),
        }

    @property
    def examples(self) -> Examples:
        """Features of all windows and copies as the network that ships gets them.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        return self._sight(None).examples

    def prepare(self) -> Examples:
        """Compute windows and features, of each network's backbone; those of the one that ships."""
        for fold in self._networks().values():
            examples = self._sight(fold).examples  # one at a time: each may take hundreds of MB
        return examples

    def adapt(self, teacher: Path, folders: Sequence[Path], rehearsal: LessonConfig, config: TeachConfig) -> Path:
        """Teach the backbone on the clips, without their labels: for each judged fold without it, and on all.

        Args:
            teacher: yamnet.tflite.
            folders: free sounds.
            rehearsal: what is drawn from them, so that the backbone does not unlearn them.
            config: how long and how fast.

        Returns:
            The folder to give as `--weights`.

        Raises:
            InputError: a clip, a folder, the weights or the teacher are unreadable.
            ConfigError: the weights are a folder: they would differ from fold to fold.
        """
        backbone, folder = self.recipe.backbone, self.output / "adapted"
        if backbone.without(None) != backbone:
            raise ConfigError(
                f"{backbone.weights} is a folder of weights: adapt goes on from one file. Set --weights to such a file"
            )
        backbone.key()  # missing weights are told before the teacher hears sounds for minutes,
        sounds = prepare_lesson(folders, teacher, rehearsal, self._cache)
        examples = self.examples  # and what is wrong with a clip before it hears them all
        lesson = hear_clips(self._maker, teacher, self._cache) + sounds
        seen = look(backbone, lesson.windows)
        for fold in self._networks().values():
            heard = np.flatnonzero(self.dataset.clip_folds[examples.clip] != fold)
            rows = np.concatenate([heard, np.arange(len(examples.clip), len(lesson))])
            guess = first_guess(examples.features[heard], lesson.targets(rows)[: len(heard)])
            teach(lesson, seen, backbone, config, folder, weights_name(fold), rows, guess)
        return folder

    @cached_property
    def _ambience(self) -> Ambience:
        """What the device looks at in ambience."""
        return hear_ambience(self.dataset, self.recipe.spectrograms.features, self._cache, self._maker.key)

    def _sight(self, fold: int | None) -> Sight:
        """What the backbone of a fold's network makes of the windows. The last one stays in memory."""
        backbone = self.recipe.backbone.without(fold)
        if self._last_sight is None or self._last_sight.backbone != backbone:
            self._last_sight = Sight(backbone, self.parts, self.recipe.spectrograms.seed, self._cache)
        return self._last_sight

    def train(self) -> dict[str, float]:
        """Train a network without each judged fold, and one on all; validation accuracies by name.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        accuracies = {}
        for name, fold in self._networks().items():
            fitted = self._trainer.fit(fold)
            rule = self._live_rule(fitted, fold)
            network = self._network(fitted, rule, fold)
            tuned, choices = self._fine_tune(network, fold)
            network = replace(network, settings={**network.settings, **choices})
            network.save(self.output / "networks" / name, tuned)
            (self.output / "networks" / name / _FALSE_ALARMS).write_text(
                json.dumps({label: each.tolist() for label, each in rule.false_alarms.items()}), encoding="utf-8"
            )
            accuracies[name] = fitted.validation_accuracy
            self._summarise(name, network)
        return accuracies

    def at_random(self) -> "Run":
        """The same on a random split, as the seed article did: no copies, no fine-tuning; figures in OUTPUT/random.

        It leaks: see `split_at_random`.
        """
        spectrograms = replace(self.recipe.spectrograms, copies=0)
        backbone = self.recipe.backbone.without(None)
        recipe = replace(self.recipe, spectrograms=spectrograms, backbone=backbone, fine_tune=FineTuneConfig())
        dataset = split_at_random(self.dataset, spectrograms.seed)
        return Run(dataset, recipe, self.output / "random", self._command, self._cache)

    def evaluate(self) -> dict[str, Any]:
        """Test each fold's network on its fold, float, int8 and through the pipeline; write and return evaluation.json.

        Raises:
            ConfigError: no trained network, or an int8 network disagrees with its float parent.
        """
        verdicts: dict[int, Verdicts] = {}
        heard: dict[int, Heard | None] = {}
        scenes, seed = self.recipe.scenes, self.recipe.spectrograms.seed
        for name, fold in self._networks().items():
            if fold is None:
                continue
            network, keras = self._load(name)
            folder = self.output / "folds" / str(fold)
            self._export(network, keras, folder, "0", {})
            bundle = load_bundle(folder)
            drawn = self._fold_windows(fold)
            logits = self._logits(network, keras, drawn)
            verdicts[fold] = judge(logits, self.parts[0].clip[drawn.rows], bundle, self.dataset)
            heard[fold] = None if self.dataset.leaks else hear(bundle, self.dataset, fold, scenes, seed)
        result = cross_validation(verdicts, heard, self.dataset)
        result["scenes"] = str(scenes)
        (self.output / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        write_report(
            self.output / "report.html",
            result,
            list(verdicts.values()),
            self.dataset,
            self.recipe.spectrograms.features,
            {name: self._learning(name) for name in self._networks()},
            self._command,
        )
        return result

    def export(self, name: str, version: str) -> Bundle:
        """Write the bundle of the network trained on all folds.

        Raises:
            ConfigError: nothing trained or evaluated yet, the int8 network disagrees with the float one, or the split
                leaks.
        """
        if self.dataset.leaks:
            raise ConfigError("not exported: a random split leaks, and what it judged must not ship. Use the folds")
        try:
            evaluation = json.loads((self.output / "evaluation.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(
                f"no {self.output / 'evaluation.json'}: a bundle states its accuracy. "
                "Run `earshot-train evaluate` first"
            ) from error
        network, keras = self._load("all")
        folder = self.output / "bundle"
        agreement = self._export(network, keras, folder, version, evaluation, name)
        bundle = load_bundle(folder)
        model_card(bundle, evaluation, agreement, self._command)
        return bundle

    @property
    def _shape(self) -> tuple[int, int]:
        return self.recipe.spectrograms.features.shape

    def _networks(self) -> dict[str, int | None]:
        return {**{f"fold-{fold}": fold for fold in self.dataset.judged_folds}, "all": None}

    @cached_property
    def _trainer(self) -> HeadTrainer:
        return HeadTrainer(self.dataset, self._sight, self.recipe.head, self._cache)

    def _live_rule(self, fitted: Fitted, fold: int | None) -> LiveRule:
        """Chosen on the ambience of the folds that validate for a test fold."""
        ambience = self._ambience
        rows, scores = self._trainer.judge(fold, fitted, ambience.windows, "features of ambience")
        validated = np.isin(self.dataset.clip_folds, self._trainer.validation_folds(fold))
        hours = float(ambience.seconds[validated].sum()) / 3600
        features = self.recipe.spectrograms.features
        return choose_live_rule(
            self.dataset.labels, soundings(ambience, rows, scores), hours, features, fitted.live_odds
        )

    def _network(self, fitted: Fitted, rule: LiveRule, fold: int | None) -> Network:
        settings = {
            **self._settings(fold),
            "test_fold": fold,
            "train_folds": sorted({clip.fold for clip in self.dataset.clips} - {fold}),
            "shrinkage": fitted.shrinkage,
            "unknown_bias": fitted.unknown_bias,
            "live_odds_start": fitted.live_odds,
            "validation_accuracy": fitted.validation_accuracy,
        }
        return Network(fitted.head, fitted.temperature, rule.odds, rule.thresholds, settings)

    def _fine_tune(self, network: Network, fold: int | None) -> tuple[Any, dict[str, Any]]:
        """Fine-tuned Keras network, or None where validation prefers the linear head; and how that was chosen."""
        if not self.recipe.fine_tune.epochs:
            return None, {}
        shrinkage = network.settings["shrinkage"]

        def start(validation: int | None) -> Any:
            judged, head = fold, network.head
            if validation is not None:
                judged, head = validation, self._trainer.head(validation, fold, shrinkage)
            return replace(network, head=head).keras(self.recipe.backbone.without(judged), self._shape)

        windows = Pool(self.parts, self._trainer.targets)
        seed = self.recipe.spectrograms.seed
        tuned, curves = tune(self.dataset, windows, fold, start, self.recipe.fine_tune, seed)
        return tuned, {"fine_tune_curves": curves, "fine_tune_epochs": best_epoch(curves)}

    def _summarise(self, name: str, network: Network) -> None:
        summaries = Summaries(self.output / "summaries" / name)
        summaries.scalar("validation_accuracy/head", network.settings["validation_accuracy"], 0)
        for number, curve in enumerate(network.settings.get("fine_tune_curves", ())):
            summaries.curve(f"validation_accuracy/fine_tune_{number}", curve)

    def _learning(self, name: str) -> Learning:
        folder = self.output / "networks" / name
        thresholds = {label: each.threshold for label, each in load_network(folder).thresholds.items()}
        rates = json.loads((folder / _FALSE_ALARMS).read_text(encoding="utf-8"))
        return Learning(thresholds, rates, read_curves(self.output / "summaries" / name))

    def _load(self, name: str) -> tuple[Network, Any]:
        folder = self.output / "networks" / name
        network = load_network(folder)
        backbone = self.recipe.backbone.without(network.settings["test_fold"])
        return network, network.keras(backbone, self._shape, folder)

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
            features=self.recipe.spectrograms.features,
            temperature=network.temperature,
            thresholds=network.thresholds,
            unknown_output=len(network.head.bias) > len(self.dataset.labels),
            live_odds=network.live_odds,
            training={
                "data": self.dataset.name,
                "found": self.dataset.found,
                "command": self._command,
                **network.settings,
            },
            accuracy=evaluation,
        )
        drawn = self._varied_windows(network)
        return export_bundle(keras, drawn.log_mels, self._logits(network, keras, drawn), info, folder)

    def _logits(self, network: Network, keras: Any, drawn: Drawn) -> NDArray[np.float32]:
        """What the float network says of windows; the backbone has seen them already, unless fine-tuning changed it."""
        tuned = network.settings.get("fine_tune_epochs")
        if tuned:
            return predict(keras, drawn.log_mels)
        return network.head(self._sight(network.settings["test_fold"]).examples.features[drawn.rows])

    def _fold_windows(self, fold: int) -> Drawn:
        """All windows of a fold's clips as they are."""
        rows = np.flatnonzero(self.dataset.clip_folds[self.parts[0].clip] == fold)
        return Drawn(self.parts[0].quantized[rows], rows)

    def _varied_windows(self, network: Network) -> Drawn:
        """Windows that the network was trained on."""
        clips = np.isin(self.dataset.clip_folds, network.settings["train_folds"])
        return varied_windows(self.parts, clips, EXPORT_WINDOWS, self.recipe.spectrograms.seed)
