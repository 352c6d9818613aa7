"""Windows of a dataset's clips and of their augmented copies, as samples."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.pipeline import clip_windows
from device.types import UNKNOWN, Samples
from training.data.array_cache import file_digest
from training.data.augmentation import AugmentConfig, augment
from training.data.dataset import Clip, Dataset
from training.data.progress import progress

AMBIENCE_SECONDS = 10.0
"""Duration from which a negative is ambience: a place, not a single sound. Ambience serves as background and to count
false alarms."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class SampleWindows:
    """Windows that are cut anew whenever a network needs them.

    Attributes:
        clip: shape (n,), int32, number of each window's clip in the dataset.
        samples: yields the samples of some rows, sorted, each of shape (window_length,), int16.
        key: everything that the windows depend on, as JSON.
    """

    clip: NDArray[np.int32]
    samples: Callable[[NDArray[np.intp]], Iterator[Samples]]
    key: Mapping[str, object]


class WindowCutter:
    """Cuts the clips of a dataset, and their augmented copies, to windows.

    Args:
        dataset: clips to cut.
        sample_rate: Hz.
        window_length: samples in a window.
        config: ranges that the copies are drawn from.
        seed: seed of the copies.
    """

    def __init__(
        self, dataset: Dataset, sample_rate: int, window_length: int, config: AugmentConfig, seed: int
    ) -> None:
        self.dataset = dataset
        self.sample_rate = sample_rate
        self.window_length = window_length
        self._config = config
        self._seed = seed

    @cached_property
    def digests(self) -> list[str]:
        """Digests of the clips' files, which all windows depend on."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(file_digest, [clip.path for clip in self.dataset.clips]))

    def copy_key(self, copy: int) -> dict[str, object]:
        """Return everything that a copy depends on beside the clips' files."""
        clips = self.dataset.clips
        return {
            "augment": asdict(self._config),
            "copy": copy,
            "seed": self._seed,
            "folds": [(clip.fold, clip.label == UNKNOWN) for clip in clips],
        }

    def samples(self, copy: int) -> Iterator[Samples]:
        """Yield each window of a copy, in the order of the clips: shape (window_length,), int16; see `each`."""
        cut = self.cutter(copy)
        for number, clip in enumerate(self.dataset.clips):
            yield from cut(number, clip)

    def each(self, copy: int, work: Callable[[NDArray[np.int16]], Result], description: str) -> list[Result]:
        """Apply a function to the windows of each clip on all cores, and return its results in order.

        Decoding, resampling and transforms release Python's lock.

        Args:
            copy: number of the copy, from 1; 0 for the windows of the original clips.
            work: called with the windows of a clip, shape (n, window_length); a copy has one.
            description: text of the progress bar.

        Raises:
            InputError: a clip is unreadable or empty.
        """
        cut, clips = self.cutter(copy), self.dataset.clips
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = pool.map(lambda number, clip: work(cut(number, clip)), range(len(clips)), clips)
            return list(progress(results, len(clips), description))

    def cutter(self, copy: int) -> Callable[[int, Clip], NDArray[np.int16]]:
        """Return the function that cuts a clip, given with its number, to windows, shape (n, window_length)."""
        if not copy:
            return lambda _, clip: clip_windows(read_samples(clip.path, self.sample_rate), self.window_length)
        backgrounds, folds = self._backgrounds, self.dataset.background_folds(copy)

        def augmented_window(number: int, clip: Clip) -> NDArray[np.int16]:
            samples, rng = read_samples(clip.path, self.sample_rate), np.random.default_rng((self._seed, copy, number))
            ambience = backgrounds[int(folds[number])]
            return augment(samples, self.window_length, ambience, self._config, rng)[np.newaxis]

        return augmented_window

    @cached_property
    def _backgrounds(self) -> dict[int, list[Samples]]:
        """Ambience of each fold."""
        found: dict[int, list[Samples]] = defaultdict(list)
        for clip in self.dataset.core.clips:
            if clip.label == UNKNOWN:
                samples = read_samples(clip.path, self.sample_rate)
                if len(samples) >= AMBIENCE_SECONDS * self.sample_rate:
                    found[clip.fold].append(samples)
        return found
