"""Spectrograms of a dataset: every window of its clips and of their augmented copies, kept in the cache."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.model.features import FeatureConfig, log_mel
from device.pipeline import clip_windows
from device.types import UNKNOWN, LogMel, Samples
from training.data.array_cache import Arrays, Cache, file_digest
from training.data.augmentation import AugmentConfig, augment
from training.data.dataset import Clip, Dataset
from training.data.progress import progress

AMBIENCE_SECONDS = 10.0
"""Duration from which a negative is ambience: a place, not a single sound. Ambience serves as background and to count
false alarms."""

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

    def subset(self, rows: NDArray[np.intp]) -> "Spectrograms":
        """Return some of the windows."""
        key = {"rows": rows.tolist(), "of": self.key}
        return Spectrograms(self.quantized[rows], self.clip[rows], self.copy[rows], key)

    def log_mels(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return the log-mels of some rows, shape (rows, mel_bands, frames), float32, in [-1, 1]."""
        return dequantize(self.quantized[rows])


class SpectrogramMaker:
    """Computes the spectrograms of a dataset, each part once.

    Args:
        dataset: clips to compute from.
        config: log-mels and copies.
        cache: stores the parts, by content of the clips.
    """

    def __init__(self, dataset: Dataset, config: SpectrogramConfig, cache: Cache) -> None:
        self._dataset = dataset
        self._config = config
        self._cache = cache

    @cached_property
    def key(self) -> dict[str, object]:
        """Everything that all parts depend on: the clips' content and the features."""
        with ThreadPoolExecutor() as pool:
            digests = list(pool.map(file_digest, [clip.path for clip in self._dataset.clips]))
        return {"clips": digests, "features": asdict(self._config.features)}

    def original(self) -> Spectrograms:
        """Return every window of every clip, cut like on the device.

        Raises:
            InputError: a clip is unreadable or empty.
        """

        def compute() -> Arrays:
            parts = self._each("windows", self._cutter(0))
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
            parts = self._each(f"copy {copy} of {self._config.copies}", self._cutter(copy))
            return {"quantized": np.concatenate(parts)}

        folds = [(clip.fold, clip.label == UNKNOWN) for clip in self._dataset.clips]
        key = {
            **self.key,
            "augment": asdict(self._config.augment),
            "copy": copy,
            "seed": self._config.seed,
            "folds": folds,
        }
        quantized = self._cache.arrays("copy", key, compute)["quantized"]
        clip = np.arange(len(quantized), dtype=np.int32)
        return Spectrograms(quantized, clip, np.full_like(clip, copy), key)

    def all(self) -> list[Spectrograms]:
        """Return the windows of the original clips, then the copies."""
        return [self.original(), *(self.augmented(copy) for copy in range(1, self._config.copies + 1))]

    def samples(self, copy: int) -> Iterator[Samples]:
        """Yield the samples of each window of `all()[copy]`, in order: shape (window_length,), int16."""
        cut = self._cutter(copy)
        for number, clip in enumerate(self._dataset.clips):
            yield from cut(number, clip)

    def _cutter(self, copy: int) -> Callable[[int, Clip], NDArray[np.int16]]:
        """Return the function that cuts a clip, given with its number, to windows, shape (n, window_length).

        Copy 0 is the original clip.
        """
        features, seed = self._config.features, self._config.seed
        if not copy:
            return lambda _, clip: clip_windows(read_samples(clip.path, features.sample_rate), features.window_length)
        backgrounds = self._backgrounds()

        def augmented_window(number: int, clip: Clip) -> NDArray[np.int16]:
            samples, rng = read_samples(clip.path, features.sample_rate), np.random.default_rng((seed, copy, number))
            window = augment(samples, features.window_length, backgrounds[clip.fold], self._config.augment, rng)
            return window[np.newaxis]

        return augmented_window

    def _backgrounds(self) -> dict[int, list[Samples]]:
        """Return the ambience of each fold."""
        found: dict[int, list[Samples]] = defaultdict(list)
        rate = self._config.features.sample_rate
        for clip in self._dataset.clips:
            if clip.label == UNKNOWN:
                samples = read_samples(clip.path, rate)
                if len(samples) >= AMBIENCE_SECONDS * rate:
                    found[clip.fold].append(samples)
        return found

    def _each(self, description: str, cut: Callable[[int, Clip], NDArray[np.int16]]) -> list[NDArray[np.int8]]:
        """Return the log-mels of each clip's windows, computed on all cores.

        Decoding, resampling and transforms release Python's lock.
        """
        clips = self._dataset.clips

        def make(number: int, clip: Clip) -> NDArray[np.int8]:
            return np.stack([quantize(log_mel(window, self._config.features)) for window in cut(number, clip)])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(progress(pool.map(make, range(len(clips)), clips), len(clips), description))


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
