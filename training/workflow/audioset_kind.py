"""AudioSet network: EfficientAT mn04 with frozen layers, a head for clips and one for live sound, in float16."""

from dataclasses import asdict
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from device.model.manifest_network import AUDIOSET
from device.model.manifest_network import Head as HeadName
from training.data.array_cache import Cache, file_digest
from training.data.dataset import Dataset
from training.data.parallel import THREADS, Workers
from training.data.windows import WindowCutter
from training.export.bundle_writer import NetworkPart
from training.fitting.audioset_features import AudioSetConfig, AudioSetFeatures
from training.fitting.backbone_features import Examples
from training.fitting.head_trainer import HeadTrainer
from training.models.checkpoint import TrainedNetwork
from training.models.efficientat import CLASSES, EMBEDDING, build_audioset_network, load_arrays
from training.quantization.tflite import convert_float16
from training.workflow.network_kind import NetworkKind

_HEADS: tuple[HeadName, ...] = ("clip", "live")
_COMPARED_CLIPS = 200
"""Training clips with whose first windows an export is compared with the float network."""


class AudioSetKind(NetworkKind):
    """EfficientAT mn04: embedding, AudioSet classes and two heads.

    Two heads, because augmented copies cost two to three points of accuracy on clips. Without copies, the network takes
    sounds over a background for `unknown`.

    Args:
        dataset: clips, with those that only train.
        config: weights, front end, copies and heads.
        seed: seed of the copies.
        cache: stores features and heads.
        workers: what features are computed on.
    """

    name: ClassVar[str] = AUDIOSET

    def __init__(
        self, dataset: Dataset, config: AudioSetConfig, seed: int, cache: Cache, workers: Workers = THREADS
    ) -> None:
        self._dataset = dataset
        self._config = config
        features = config.features
        rate, length = features.sample_rate, features.window_length
        self.cutter = WindowCutter(dataset, rate, length, config.augment, seed, workers)
        self._clips = AudioSetFeatures(config, self.cutter, (0,), cache)
        self._copies = AudioSetFeatures(config, self.cutter, range(1, config.copies + 1), cache)
        trainers = {"clip": HeadTrainer(dataset, lambda _: self._clips, config.clip_head, cache)}
        if config.copies:
            trainers["live"] = HeadTrainer(dataset, lambda _: self._copies, config.live_head, cache)
        super().__init__(trainers)

    def prepare(self, fold: int | None) -> Examples:
        """See `NetworkKind`. The layers are frozen, so the features are the same for each fold."""
        del fold
        if self._config.copies:
            self._copies.prepare()
        return self._clips.examples

    def settings(self, fold: int | None) -> dict[str, Any]:
        """See `NetworkKind`."""
        del fold
        config = asdict(self._config)
        return {**config, "weights": file_digest(self._config.weights)}

    def test_logits(self, network: TrainedNetwork, fold: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See `NetworkKind`."""
        examples = self._clips.examples
        rows = self._dataset.clip_folds[examples.clip] == fold
        return examples.clip[rows], network.heads["clip"].head(examples.features[rows])

    def part(self, network: TrainedNetwork, fold: int | None, train_folds: list[int]) -> NetworkPart:
        """See `NetworkKind`."""
        del fold
        arrays, shape = load_arrays(self._config.weights), self._config.features.shape
        heads = {name: each.head for name, each in network.heads.items()}
        examples = self._clips.examples
        first_rows = np.unique(examples.clip, return_index=True)[1]
        trained = np.isin(self._dataset.clip_folds[examples.clip[first_rows]], train_folds)
        rows = np.random.default_rng(0).permutation(first_rows[trained])[:_COMPARED_CLIPS]
        return NetworkPart(
            content=convert_float16(build_audioset_network(arrays, shape, heads)),
            features=self._config.features,
            outputs={
                **{name: len(heads[name].bias) for name in _HEADS if name in heads},
                "audioset": CLASSES,
                "embedding": EMBEDDING,
            },
            temperature={name: network.heads[name].temperature for name in _HEADS if name in heads},
            classes=audioset_classes(),
            log_mels=self._clips.first_log_mels(examples.clip[rows]),
            logits=heads["clip"](examples.features[rows]),
        )


def audioset_classes() -> tuple[str, ...]:
    """Return the display names of AudioSet's classes, in the order of the network's outputs (Google, CC BY 4.0)."""
    text = files("training.models").joinpath("audioset_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
