"""Clips that only train: ESC-50, slices rebuilt from log-mels of UrbanSound8K, and others. They never test or validate.

ESC-50 (K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015): a folder named like a
label holds further recordings of it, the other folders hold negatives. One fold of ESC-50 is held out entirely, for a
last test of a finished network. The files of any other folder are read in the same way, each as one recording.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from device.errors import InputError
from device.types import UNKNOWN
from training.data.dataset import TRAINING_FOLD, Clip, Dataset, sound_files
from training.data.recording_names import esc50_fold, freesound_id
from training.data.table import read_table

ESC50_HELD_OUT_FOLD = 5
"""Fold of ESC-50, the first number of a file's name, that no network is trained on."""
TABLE = "table.csv"
_COLUMNS = {"file", "class", "fsID", "fold", "note"}
_CARRIER = re.compile(r"carrier \S+ \(fold (\d+)\)")
"""Slice whose samples were filtered to the log-mel of another slice."""


def add_training_clips(dataset: Dataset, folders: Sequence[Path]) -> Dataset:
    """Add the clips of folders, in their order, behind those of the dataset.

    Clips that the dataset contains already are skipped. If a folder is of ESC-50, negatives of the dataset that are of
    ESC-50's held-out fold are left out too.

    Raises:
        InputError: a folder is missing or empty, or its table is invalid.
    """
    clips, found = dataset.clips, []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"no clips at {folder}: not a folder. Set --also to ESC-50, rebuilt clips or a folder of other sounds"
            )
        if (folder / TABLE).exists():
            added = list(_rebuilt_clips(folder, dataset.labels))
        else:
            clips = tuple(clip for clip in clips if clip.label != UNKNOWN or not is_held_out(clip.path))
            added = list(_class_folder_clips(folder, dataset.labels, clips))
        present = {clip.path.resolve() for clip in clips}
        added = [clip for clip in added if clip.path.resolve() not in present]
        clips += tuple(added)
        labelled = sum(clip.label != UNKNOWN for clip in added)
        found.append(f"{folder.name} ({labelled} of the labels, {len(added) - labelled} negatives)")
    if not found:
        return dataset
    description = f"{dataset.description}; only for training: {', '.join(found)}"
    return replace(dataset, clips=clips, description=description)


def held_out_esc50(folders: Sequence[Path], labels: Sequence[str]) -> list[Clip]:
    """Return the clips of ESC-50's held-out fold, for the last test of a finished network."""
    files = (path for folder in folders for path in sound_files(folder) if is_held_out(path))
    return [_clip(path, path.parent, labels, {}) for path in files]


def is_held_out(path: Path) -> bool:
    """Return whether a file is of ESC-50's held-out fold, by its name."""
    return esc50_fold(path) == ESC50_HELD_OUT_FOLD


def _class_folder_clips(folder: Path, labels: Sequence[str], dataset_clips: Sequence[Clip]) -> Iterator[Clip]:
    """Yield the clips of a folder that are not of ESC-50's held-out fold.

    A recording of freesound.org may have clips in several folders of sounds, and in several datasets. Where the dataset
    contains one of them, the others are left out together with it.
    """
    files = sound_files(folder)
    if not files:
        raise InputError(f"{folder}: neither {TABLE} nor sound files found. Set --also to a folder with sounds")
    folds: dict[str, set[int]] = defaultdict(set)
    for clip in dataset_clips:
        if number := freesound_id(clip.path):
            folds[number] |= {clip.fold, *clip.tied_folds} - {TRAINING_FOLD}
    yield from (_clip(path, folder, labels, folds) for path in files if not is_held_out(path))


def _clip(path: Path, folder: Path, labels: Sequence[str], folds: Mapping[str, set[int]]) -> Clip:
    number = freesound_id(path)
    recording = f"{folder.name}/{path.relative_to(folder)}" if number is None else f"esc50/{number}"
    label = path.parent.name if path.parent.name in labels else UNKNOWN
    tied = folds.get(number, set()) if number else set()
    return Clip(path, label, recording, TRAINING_FOLD, None, tuple(sorted(tied)))


def _rebuilt_clips(folder: Path, labels: Sequence[str]) -> Iterator[Clip]:
    """Yield the slices of a table. Each is left out with its own folds, and with the fold of its carrier.

    The carrier is the slice that supplied the samples.
    """
    table = folder / TABLE
    rows = [row for row in read_table(table, _COLUMNS, "Take it from the data set") if row["class"] in labels]
    by_name = {path.name: path for path in sound_files(folder)}
    for row in rows:
        carrier = _CARRIER.search(row["note"])
        if carrier is None:
            raise row.fault(f"{row['file']}: its note names no carrier with its fold. Complete the table")
        own_folds = row["fold"].split("/")
        if not all(fold.isascii() and fold.isdecimal() for fold in own_folds):
            raise row.fault(f"fold is {row['fold']!r}, must be whole numbers, as in 1 or 1/10. Correct that line")
        folds = {*map(int, own_folds), int(carrier[1])}
        if row["file"] in by_name:
            recording = row["fsID"].removeprefix("fs")
            yield Clip(by_name[row["file"]], row["class"], recording, TRAINING_FOLD, None, tuple(sorted(folds)))
