"""Spectrograms of a dataset: every window of its clips and of their augmented copies, kept in the cache."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from device.model.features import FeatureConfig, log_mel
from device.types import LogMel
from training.data.array_cache import Arrays, Cache
from training.data.augmentation import AugmentConfig
from training.data.dataset import Dataset
from training.data.parallel import THREADS, Workers
from training.data.windows import SampleWindows, WindowCutter

_STEP = 127.0


@dataclass(frozen=True)
class SpectrogramConfig:
    """Configuration of log-mels and augmented copies."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    copies: int = 8
    """Augmented copies of each clip, one window each."""
    seed: int = 0


@dataclass(frozen=True)
class Spectrograms:
    """Log-mels of windows, with the clip and copy that each comes from.

    Attributes:
        quantized: shape (n, mel_bands, frames), int8: 127 times the log-mel. The network's input is int8, so nothing is
            lost for it, and a large dataset fits into memory.
        clip: shape (n,), int32, number of each window's clip in the dataset.
        copy: shape (n,), int32, number of the augmented copy; 0 for a window of the original clip.
        key: everything that the windows depend on, as JSON.
    """

    quantized: NDArray[np.int8]
    clip: NDArray[np.int32]
    copy: NDArray[np.int32]
    key: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.clip)

    def log_mels(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return the log-mels of some rows, shape (rows, mel_bands, frames), float32, in [-1, 1]."""
        return dequantize(self.quantized[rows])


class SpectrogramMaker:
    """Computes the spectrograms of a dataset, each part once.

    Args:
        dataset: clips to compute from.
        config: log-mels and copies.
        cache: stores the parts, by content of the clips.
        workers: what windows are cut and transformed on.
    """

    def __init__(self, dataset: Dataset, config: SpectrogramConfig, cache: Cache, workers: Workers = THREADS) -> None:
        self._config = config
        self._cache = cache
        features = config.features
        self.cutter = WindowCutter(
            dataset, features.sample_rate, features.window_length, config.augment, config.seed, workers
        )

    @property
    def key(self) -> dict[str, object]:
        """Everything that all parts depend on: the clips' content and the features."""
        return {"clips": self.cutter.digests, "features": asdict(self._config.features)}

    def original(self) -> Spectrograms:
        """Return every window of every clip, cut like on the device.

        Raises:
            InputError: a clip is unreadable or empty.
        """

        def compute() -> Arrays:
            parts = self.cutter.each(0, self._make, "windows")
            numbers = [np.full(len(part), number, np.int32) for number, part in enumerate(parts)]
            return {"quantized": np.concatenate(parts), "clip": np.concatenate(numbers)}

        arrays = self._cache.arrays("windows", self.key, compute)
        return Spectrograms(arrays["quantized"], arrays["clip"], np.zeros_like(arrays["clip"]), self.key)

    def augmented(self, copy: int) -> Spectrograms:
        """Return one augmented window of each clip; the same `copy` and seed give the same windows.

        The background of a clip comes from negatives of its own fold, so no fold leaks into another.

        Args:
            copy: number of the copy, 1 to `config.copies`.
        """

        def compute() -> Arrays:
            parts = self.cutter.each(copy, self._make, f"copy {copy} of {self._config.copies}")
            return {"quantized": np.concatenate(parts)}

        key = {**self.key, **self.cutter.copy_key(copy)}
        quantized = self._cache.arrays("copy", key, compute)["quantized"]
        clip = np.arange(len(quantized), dtype=np.int32)
        return Spectrograms(quantized, clip, np.full_like(clip, copy), key)

    def all(self) -> list[Spectrograms]:
        """Return the windows of the original clips, then the copies."""
        return [self.original(), *(self.augmented(copy) for copy in range(1, self._config.copies + 1))]

    def of_samples(self, windows: SampleWindows, rows: NDArray[np.intp]) -> Spectrograms:
        """Return the spectrograms of some rows of other windows of the dataset."""
        quantized = self._make()(np.stack(list(windows.samples(rows)))) if rows.size else self._none
        clip = windows.clip[rows]
        key = {"windows": dict(windows.key), "rows": rows.tolist(), "features": asdict(self._config.features)}
        return Spectrograms(quantized, clip, np.zeros_like(clip), key)

    @property
    def _make(self) -> Callable[[], Callable[[NDArray[np.int16]], NDArray[np.int8]]]:
        return partial(_log_mel_maker, self._config.features)

    @property
    def _none(self) -> NDArray[np.int8]:
        return np.zeros((0, *self._config.features.shape), np.int8)


def _log_mel_maker(features: FeatureConfig) -> Callable[[NDArray[np.int16]], NDArray[np.int8]]:
    """Return the function from windows, shape (n, window_length), to their log-mels as int8."""
    return lambda windows: np.stack([quantize(log_mel(window, features)) for window in windows])


@dataclass(frozen=True)
class WindowSample:
    """Some windows of several parts.

    Attributes:
        quantized: shape (n, mel_bands, frames), int8.
        rows: shape (n,), row of each window in the concatenation of the parts.
    """

    quantized: NDArray[np.int8]
    rows: NDArray[np.intp]

    @property
    def log_mels(self) -> NDArray[np.float32]:
        """Log-mels, shape (n, mel_bands, frames), float32, in [-1, 1]."""
        return dequantize(self.quantized)


def draw_windows(parts: Sequence[Spectrograms], clips: NDArray[np.bool_], count: int, seed: int) -> WindowSample:
    """Draw at most `count` windows evenly from the parts, without silent ones.

    Args:
        parts: windows of the original clips, and copies.
        clips: shape (clips,), mask of the dataset's clips to draw from.
        count: largest number of windows.
        seed: seed of the draw.
    """
    rng = np.random.default_rng(seed)
    quantized, rows, before = [], [], 0
    for part in parts:
        drawn = rng.permutation(np.flatnonzero(clips[part.clip]))[: 2 * count // len(parts)]
        audible = np.flatnonzero(part.log_mels(drawn).std(axis=(1, 2)) > 0.02)[: count // len(parts)]
        quantized.append(part.quantized[drawn[audible]])
        rows.append(before + drawn[audible])
        before += len(part)
    order = rng.permutation(sum(map(len, rows)))
    return WindowSample(np.concatenate(quantized)[order], np.concatenate(rows)[order])


def quantize(log_mel: LogMel) -> NDArray[np.int8]:
    """Return a log-mel as int8, 127 times its value."""
    quantized: NDArray[np.int8] = np.rint(log_mel * _STEP).astype(np.int8)
    return quantized


def dequantize(quantized: NDArray[np.int8]) -> LogMel:
    """Return the log-mels of quantized ones, any number of windows."""
    log_mels: LogMel = quantized.astype(np.float32) / np.float32(_STEP)
    return log_mels
