"""Cached features of the AudioSet network, of a dataset's windows and of their augmented copies."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.errors import InputError
from device.model.audioset_features import AudioSetFeatureConfig, audioset_log_mel
from training.data.array_cache import Arrays, Cache, file_digest
from training.data.augmentation import AugmentConfig
from training.data.parallel import keep_latest
from training.data.progress import progress
from training.data.windows import SampleWindows, WindowCutter
from training.fitting.backbone_features import Examples, QuantizationNoise
from training.fitting.head_trainer import HeadConfig
from training.models.efficientat import FEATURES, build_mn04, load_arrays
from training.models.tf import BATCH_SIZE, import_tensorflow

BACKGROUND_COPIES = AugmentConfig(
    speed=(1.0, 1.0), filter_db=0.0, gain_db=(0.0, 0.0), background_db=(3.0, 28.0), background_share=1.0, cut_share=0.5
)
"""Sounds over a background, as the device receives them. Other changes make a linear head on this network worse."""


@dataclass(frozen=True)
class AudioSetConfig:
    """Weights, front end and copies of the AudioSet network."""

    weights: Path
    """npz file with the arrays of EfficientAT mn04 (see `training.models.efficientat`)."""
    features: AudioSetFeatureConfig = field(default_factory=AudioSetFeatureConfig)
    augment: AugmentConfig = BACKGROUND_COPIES
    copies: int = 4
    """Copies of each clip that the head for live sound is fitted on, one window each; 0 for a single head."""
    clip_head: HeadConfig = field(
        default_factory=lambda: HeadConfig(
            shrinkages=(0.1, 0.2, 0.4), unknown_cost=0.02, unknown_regression=True, ambience_with_labels=True
        )
    )
    live_head: HeadConfig = field(
        default_factory=lambda: HeadConfig(
            shrinkages=(0.1, 0.2, 0.4), unknown_regression=True, ambience_with_labels=True, validate_on_copies=True
        )
    )


class AudioSetFeatures:
    """Features of windows by the AudioSet network: [embedding, hidden layer, AudioSet logits].

    Args:
        config: weights and front end.
        cutter: cuts clips and copies.
        copies: numbers of the copies; 0 for the original clips.
        cache: stores the features of each copy.
    """

    def __init__(self, config: AudioSetConfig, cutter: WindowCutter, copies: Sequence[int], cache: Cache) -> None:
        self._config = config
        self._cutter = cutter
        self._copies = copies
        self._cache = cache

    @cached_property
    def key(self) -> dict[str, object]:
        """Everything that the examples depend on.

        Raises:
            InputError: the weights are missing.
        """
        return {**self._network_key, "copies": [self._copy_key(copy) for copy in self._copies]}

    @cached_property
    def examples(self) -> Examples:
        """Features of all windows of the copies. They have no quantization error: the network computes in float32.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        parts = [self._part(copy) for copy in self._copies]
        numbers = [np.full(len(part["clip"]), copy, np.int32) for copy, part in zip(self._copies, parts, strict=True)]
        exact = QuantizationNoise(np.zeros((0, FEATURES), np.float32), np.zeros(0, np.int32))
        features, clip = (np.concatenate([part[name] for part in parts]) for name in ("features", "clip"))
        return Examples(features, clip, np.concatenate(numbers), exact)

    def prepare(self) -> None:
        """Compute the features that are not in the cache yet."""
        for copy in self._copies:
            self._part(copy)

    def window_features(self, windows: SampleWindows, rows: NDArray[np.intp], description: str) -> NDArray[np.float16]:
        """Return the features of some rows of other windows, shape (rows, features), computed or from the cache."""

        def compute() -> Arrays:
            batches = [rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE)]
            samples = (np.stack(list(windows.samples(batch))) for batch in batches)
            parts = progress(self._cutter.workers.map(self._make, samples), len(batches), description)
            return {"features": np.concatenate([np.zeros((0, FEATURES), np.float16), *parts])}

        key = {**self._network_key, "windows": dict(windows.key), "rows": rows.tolist()}
        features: NDArray[np.float16] = self._cache.arrays("audioset", key, compute)["features"]
        return features

    def first_log_mels(self, clips: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the log-mel of the first window of some clips, shape (clips, mel_bands, frames)."""
        config = self._config.features
        cut, dataset = self._cutter.cutter(0), self._cutter.dataset
        windows = (cut(int(number), dataset.clips[number])[0] for number in clips)
        return np.stack([audioset_log_mel(window, config) for window in windows])

    def _part(self, copy: int) -> Arrays:
        def compute() -> Arrays:
            description = f"AudioSet features, copy {copy}" if copy else "AudioSet features"
            parts = self._cutter.each(copy, self._make, description)
            numbers = [np.full(len(part), number, np.int32) for number, part in enumerate(parts)]
            return {"features": np.concatenate(parts), "clip": np.concatenate(numbers)}

        return self._cache.arrays("audioset", {**self._network_key, **self._copy_key(copy)}, compute)

    def _copy_key(self, copy: int) -> dict[str, object]:
        return {"clips": self._cutter.digests, **(self._cutter.copy_key(copy) if copy else {})}

    @cached_property
    def _network_key(self) -> dict[str, object]:
        arrays = load_arrays(self._config.weights)  # reports a missing or wrong file
        del arrays
        return {"weights": file_digest(self._config.weights), "features": asdict(self._config.features)}

    @cached_property
    def _make(self) -> Callable[[], Callable[[NDArray[np.int16]], NDArray[np.float16]]]:
        """Maker of the function from windows, shape (n, window_length), to their features."""
        return partial(_load_network, self._config.weights, file_digest(self._config.weights), self._config.features)


@keep_latest
def _load_network(
    weights: Path, content: str, config: AudioSetFeatureConfig
) -> Callable[[NDArray[np.int16]], NDArray[np.float16]]:
    """Build the network's function; `content` is the digest of the weights, for a worker of another machine."""
    tf = import_tensorflow()
    network = build_mn04(load_arrays(weights), config.shape)
    if file_digest(weights) != content:
        raise InputError(f"{weights}: other weights than on the machine that trains. Share one folder")
    signature = [tf.TensorSpec((None, *config.shape, 1), tf.float32)]
    graph = tf.function(lambda log_mels: tf.concat(network(log_mels, training=False), axis=1), signature)

    def run(windows: NDArray[np.int16]) -> NDArray[np.float16]:
        log_mels = np.stack([audioset_log_mel(window, config) for window in windows])
        features: NDArray[np.float16] = graph(log_mels[..., np.newaxis]).numpy().astype(np.float16)
        return features

    return run
