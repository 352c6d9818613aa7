"""Datasets: labelled clips in folds that share no recording."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import SUFFIXES
from device.types import UNKNOWN

DEFAULT_FOLD_COUNT = 5
"""Number of folds for recordings that have no fold yet."""


@dataclass(frozen=True)
class Clip:
    """One labelled sound file.

    Attributes:
        path: the file.
        label: the sound's label; `unknown` for a negative.
        recording: name of the original recording. Clips of one recording are never split between training and test.
        fold: the part of the dataset that the recording belongs to.
        foreground: whether the sound is in the foreground; None if the dataset does not state it.
    """

    path: Path
    label: str
    recording: str
    fold: int
    foreground: bool | None = None


@dataclass(frozen=True)
class Dataset:
    """Labelled clips, in folds that share no recording.

    Attributes:
        name: name for reports.
        labels: labels of a network trained on the dataset.
        clips: clips in a fixed order, negatives last.
        description: sentence that lists the clips and folds that were found.
        leaks: whether the folds share recordings (`split_at_random`). Figures of such folds are meaningless, and
            networks trained on them must not ship.
        warnings: remarks to show before a long run, one line each.
    """

    name: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    description: str
    leaks: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def clip_folds(self) -> NDArray[np.int64]:
        """Fold of each clip, shape (clips,)."""
        return np.array([clip.fold for clip in self.clips], np.int64)

    @property
    def evaluation_folds(self) -> tuple[int, ...]:
        """Folds that contain every label. They serve as test and validation folds; the others only train."""
        present: dict[int, set[str]] = defaultdict(set)
        for clip in self.clips:
            present[clip.fold].add(clip.label)
        return tuple(sorted(fold for fold, labels in present.items() if labels.issuperset(self.labels)))


def split_at_random(dataset: Dataset, seed: int) -> Dataset:
    """Assign single clips to folds, so that one recording is in several folds.

    The seed article did so; the split reproduces its figures.
    """
    rng = random.Random(seed)
    folds: dict[int, int] = {}
    for label in (*dataset.labels, UNKNOWN):
        numbers = [number for number, clip in enumerate(dataset.clips) if clip.label == label]
        rng.shuffle(numbers)
        folds |= {number: place % DEFAULT_FOLD_COUNT + 1 for place, number in enumerate(numbers)}
    clips = tuple(replace(clip, fold=folds[number]) for number, clip in enumerate(dataset.clips))
    return replace(dataset, clips=clips, leaks=True)


def assign_folds(recordings: set[str], folds: Sequence[int], rng: random.Random) -> dict[str, int]:
    """Assign recordings to folds at random; the folds differ by at most one recording."""
    shuffled = sorted(recordings)
    rng.shuffle(shuffled)
    return {name: folds[number % len(folds)] for number, name in enumerate(shuffled)}


def sound_files(folder: Path) -> list[Path]:
    """Return the sound files below a folder, sorted; hidden files (`._x.wav` of macOS archives) are skipped."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
