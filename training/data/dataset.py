"""Which clips there are, what they hold, and which must stay together."""

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
"""Folds that recordings are dealt to where nobody has done so."""


@dataclass(frozen=True)
class Clip:
    """One labelled sound file.

    Attributes:
        path: the file.
        label: what sounds in it; `unknown` for a negative: none of the dataset's labels.
        recording: clips of one recording share it. They are never split between training and test.
        fold: the part of the dataset that its recording belongs to.
        foreground: whether the sound is in front; None where nobody said.
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
        name: for reports.
        labels: what a network trained on it can name.
        clips: in a fixed order, negatives last.
        description: which clips and folds of the table were found, in words.
        leaks: whether its folds share recordings after all (`split_at_random`): figures on them mean nothing, and what
            was trained on them must not ship.
        warnings: what the user should know of it before a long run, a line each.
    """

    name: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    description: str
    leaks: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def clip_folds(self) -> NDArray[np.int64]:
        """Each clip's fold, shape (clips,)."""
        return np.array([clip.fold for clip in self.clips], np.int64)

    @property
    def evaluation_folds(self) -> tuple[int, ...]:
        """Folds that hold every label. The others have too few clips to judge by, and only train."""
        present: dict[int, set[str]] = defaultdict(set)
        for clip in self.clips:
            present[clip.fold].add(clip.label)
        return tuple(sorted(fold for fold, labels in present.items() if labels.issuperset(self.labels)))


def split_at_random(dataset: Dataset, seed: int) -> Dataset:
    """Deal clips to folds one by one, as the seed article did, so that slices of one recording are on both sides."""
    rng = random.Random(seed)
    folds: dict[int, int] = {}
    for label in (*dataset.labels, UNKNOWN):
        numbers = [number for number, clip in enumerate(dataset.clips) if clip.label == label]
        rng.shuffle(numbers)
        folds |= {number: place % DEFAULT_FOLD_COUNT + 1 for place, number in enumerate(numbers)}
    clips = tuple(replace(clip, fold=folds[number]) for number, clip in enumerate(dataset.clips))
    return replace(dataset, clips=clips, leaks=True)


def assign_folds(recordings: set[str], folds: Sequence[int], rng: random.Random) -> dict[str, int]:
    """Deal recordings to folds like shuffled cards, so that each fold gets as many, give or take one."""
    shuffled = sorted(recordings)
    rng.shuffle(shuffled)
    return {name: folds[number % len(folds)] for number, name in enumerate(shuffled)}


def sound_files(folder: Path) -> list[Path]:
    """Sound files below a folder, sorted by name; hidden ones (`._x.wav` of a Mac's archive) are not sounds."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
