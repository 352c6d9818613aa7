"""Windows of a dataset's clips and of their augmented copies, as samples."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.model.clip_scoring import clip_windows
from device.types import UNKNOWN, Samples
from training.data.array_cache import file_digest
from training.data.augmentation import AugmentConfig, augment
from training.data.dataset import Clip, Dataset
from training.data.parallel import THREADS, Workers, keep_latest
from training.data.progress import progress

AMBIENCE_SECONDS = 10.0
"""Duration from which a negative is ambience: a place, not a single sound. Ambience serves as background and to count
false alarms."""

_CLIPS_TOGETHER = 16
"""Clips that a worker of another machine gets at once: about a second of work."""

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
        workers: what `each` runs on.
    """

    def __init__(
        self,
        dataset: Dataset,
        sample_rate: int,
        window_length: int,
        config: AugmentConfig,
        seed: int,
        workers: Workers = THREADS,
    ) -> None:
        self.dataset = dataset
        self.sample_rate = sample_rate
        self.window_length = window_length
        self.workers = workers
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

    def each(
        self, copy: int, make: Callable[[], Callable[[NDArray[np.int16]], Result]], description: str
    ) -> list[Result]:
        """Apply a function to the windows of each clip on all workers, and return its results in order.

        Decoding, resampling and transforms release Python's lock.

        Args:
            copy: number of the copy, from 1; 0 for the windows of the original clips.
            make: creates the function, see `Workers.map`. It is called with the windows of a clip, shape
                (n, window_length); a copy has one.
            description: text of the progress bar.

        Raises:
            InputError: a clip is unreadable or empty.
        """
        clips = self.dataset.clips
        work = partial(_cut_and_apply, self._cutting(copy), make)
        results = self.workers.map(work, enumerate(clips), _CLIPS_TOGETHER)
        return list(progress(results, len(clips), description))

    def cutter(self, copy: int) -> Callable[[int, Clip], NDArray[np.int16]]:
        """Return the function that cuts a clip, given with its number, to windows, shape (n, window_length)."""
        return self._cutting(copy).cutter()

    def _cutting(self, copy: int) -> "_Cutting":
        folds: NDArray[np.int64] | None = None
        negatives: tuple[tuple[int, Path], ...] = ()
        if copy:
            folds = self.dataset.background_folds(copy)
            negatives = tuple((clip.fold, clip.path) for clip in self.dataset.core.clips if clip.label == UNKNOWN)
        return _Cutting(self.sample_rate, self.window_length, self._config, (self._seed, copy), folds, negatives)


@dataclass(frozen=True)
class _Cutting:
    """Cutting of one copy, which a worker of another machine can do.

    Attributes:
        seed: seed of the copies, and number of the copy.
        folds: fold of each clip's background, shape (clips,); None for the windows of the original clips.
        negatives: fold and file of each negative; those of at least 10 s are backgrounds.
    """

    sample_rate: int
    window_length: int
    config: AugmentConfig
    seed: tuple[int, int]
    folds: NDArray[np.int64] | None
    negatives: tuple[tuple[int, Path], ...]

    def cutter(self) -> Callable[[int, Clip], NDArray[np.int16]]:
        """Return the function that cuts a clip, given with its number, to windows, shape (n, window_length)."""
        if self.folds is None:
            return lambda _, clip: clip_windows(read_samples(clip.path, self.sample_rate), self.window_length)
        backgrounds, folds = read_ambience(self.negatives, self.sample_rate), self.folds

        def augmented_window(number: int, clip: Clip) -> NDArray[np.int16]:
            samples, rng = read_samples(clip.path, self.sample_rate), np.random.default_rng((*self.seed, number))
            ambience = backgrounds.get(int(folds[number]), [])
            return augment(samples, self.window_length, ambience, self.config, rng)[np.newaxis]

        return augmented_window


def _cut_and_apply(
    cutting: _Cutting, make: Callable[[], Callable[[NDArray[np.int16]], Result]]
) -> Callable[[tuple[int, Clip]], Result]:
    """Return the function that cuts a clip, given with its number, and applies the made function to its windows."""
    cut, apply = cutting.cutter(), make()
    return lambda numbered: apply(cut(*numbered))


def read_ambience(negatives: tuple[tuple[int, Path], ...], rate: int) -> Mapping[int, list[Samples]]:
    """Read the negatives of at least 10 s; the latest ones stay in memory.

    Args:
        negatives: fold and file of each.
        rate: Hz.

    Returns:
        Samples of each recording, int16, by fold.

    Raises:
        InputError: a file is unreadable.
    """
    return _read_ambience(negatives, tuple(_content(path) for _, path in negatives), rate)


@keep_latest
def _read_ambience(
    negatives: tuple[tuple[int, Path], ...], contents: tuple[object, ...], rate: int
) -> Mapping[int, list[Samples]]:
    del contents  # part of the key, in case that a file changes
    found: dict[int, list[Samples]] = defaultdict(list)
    for fold, path in negatives:
        samples = read_samples(path, rate)
        if len(samples) >= AMBIENCE_SECONDS * rate:
            found[fold].append(samples)
    return dict(found)


def _content(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file, which differ for other content; None for a missing one."""
    try:
        status = path.stat()
    except OSError:
        return None  # `read_samples` reports the fault
    return status.st_size, status.st_mtime_ns
