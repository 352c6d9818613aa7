"""Datasets: labelled clips in folds that share no recording."""

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import find_sounds
from device.types import UNKNOWN

DEFAULT_FOLD_COUNT = 5
"""Number of folds for recordings that have no fold yet."""
TRAINING_FOLD = 0
"""Fold of clips that only train: they never test or validate (see `Clip.tied_folds`)."""


@dataclass(frozen=True)
class Clip:
    """One labelled sound file.

    Attributes:
        path: the file.
        label: the sound's label; `unknown` for a negative.
        recording: name of the original recording. Clips of one recording are never split between training and test.
        fold: the part of the dataset that the recording belongs to.
        foreground: whether the sound is in the foreground; None if the dataset does not state it.
        tied_folds: further folds that share sound with the clip. The clip is left out with each of them.
    """

    path: Path
    label: str
    recording: str
    fold: int
    foreground: bool | None = None
    tied_folds: tuple[int, ...] = ()


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
        complete = {fold for fold, labels in present.items() if labels.issuperset(self.labels)}
        return tuple(sorted(complete - {TRAINING_FOLD}))

    @property
    def core(self) -> "Dataset":
        """The dataset without the clips that only train, which are its last ones."""
        return replace(self, clips=tuple(clip for clip in self.clips if clip.fold != TRAINING_FOLD))

    def belongs_to(self, folds: Collection[int]) -> NDArray[np.bool_]:
        """Return the clips that are left out with some folds, as a mask, shape (clips,)."""
        left_out = set(folds)
        return np.array([clip.fold in left_out or bool(left_out & set(clip.tied_folds)) for clip in self.clips], bool)

    def background_folds(self, copy: int) -> NDArray[np.int64]:
        """Return the fold of the ambience that is mixed into each clip's augmented copy, shape (clips,).

        It is the clip's own fold, so that no fold leaks into another. A clip that only trains gets an evaluation fold,
        in turn. With that fold, the copy has to be left out.
        """
        turns = self.evaluation_folds
        return np.array(
            [
                turns[(number + copy) % len(turns)] if clip.fold == TRAINING_FOLD else clip.fold
                for number, clip in enumerate(self.clips)
            ],
            np.int64,
        )


def split_at_random(dataset: Dataset, seed: int) -> Dataset:
    """Assign single clips to folds, so that one recording is in several folds.

    The seed article did so; the split reproduces its figures.
    """
    rng = random.Random(seed)
    dataset = dataset.core
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
    """Return the sound files below a folder, sorted, without hidden files and those in hidden folders."""
    return find_sounds(path for path in folder.rglob("*") if not is_hidden(path, folder))


def is_hidden(path: Path, folder: Path) -> bool:
    """Return whether a file below a folder is hidden, or lies in a hidden folder, such as `.Trash`."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
