"""From the folders that the user names to one dataset."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import soundfile

from device.audio.files import SUFFIXES
from device.errors import InputError
from device.types import UNKNOWN
from training.data.class_folders import add_class_folders, load_folders, recording_name
from training.data.dataset import Clip, Dataset, assign_folds, sound_files
from training.data.urbansound8k import TABLE, load_urbansound8k


def load_dataset(data: Path, negatives: Sequence[Path] = (), seed: int = 0, base: Path | None = None) -> Dataset:
    """Read UrbanSound8K where its table is, else one folder a class; add sounds that are none of the labels.

    Args:
        data: folder that holds `metadata/UrbanSound8K.csv` and `audio/`, or one folder for each class.
        negatives: folders of other sounds; a subfolder named like a label is left out.
        seed: of the draw that deals recordings without a fold to folds.
        base: UrbanSound8K, whose classes `data`'s are added to; None for none.

    Raises:
        InputError: no clip found, files that are no sound, a table that is not one, fewer than two labels, fewer than
            three folds to judge by.
    """
    if not data.is_dir():
        raise InputError(f"no data at {data}: not a folder. Set --data to the folder that holds the clips")
    if base is not None:
        dataset = add_class_folders(load_urbansound8k(base), data, seed)
    else:
        dataset = load_urbansound8k(data) if (data / TABLE).exists() else load_folders(data, seed)
    if len(dataset.labels) < 2:
        raise InputError(f"{data}: {dataset.labels[0]} is the only class, there is nothing to tell it from. Add one")
    if len(dataset.evaluation_folds) < 3:
        raise InputError(
            f"{data}: {len(dataset.evaluation_folds)} folds hold every label, needed are 3: one to test, one to "
            f"choose by, one to train. {dataset.description}. Add clips of other recordings"
        )
    dataset = replace(dataset, clips=dataset.clips + tuple(_negatives(negatives, dataset, random.Random(seed))))
    _check_readable(dataset.clips)
    return dataset


def _check_readable(clips: Iterable[Clip]) -> None:
    """Refuse files that are no sound, all at once and before a long run, rather than train on less than was given."""
    bad = []
    for clip in clips:
        try:
            if soundfile.info(clip.path).frames == 0:
                bad.append(f"{clip.path} (holds no sound)")
        except soundfile.LibsndfileError as error:
            bad.append(f"{clip.path} ({error.error_string.rstrip('.')})")
    if bad:
        raise InputError(f"not sound files that can be read: {', '.join(bad)}. Replace or remove them")


def _negatives(folders: Iterable[Path], dataset: Dataset, rng: random.Random) -> list[Clip]:
    """Clips of other sounds, their recordings dealt evenly to the folds that are judged."""
    clips = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"no negatives at {folder}: not a folder. Set --negatives to a folder of sounds")
        files = [p for p in sound_files(folder) if not set(p.relative_to(folder).parts) & set(dataset.labels)]
        if not files:
            raise InputError(f"{folder}: no sound ({', '.join(sorted(SUFFIXES))}) found. Set --negatives anew")
        names = [f"{folder.name}/{recording_name(path, path.parent)}" for path in files]
        if len(set(names)) < len(dataset.evaluation_folds):
            raise InputError(
                f"{folder}: {len(set(names))} recordings are too few to deal to {len(dataset.evaluation_folds)} folds. "
                "Add recordings"
            )
        folds = assign_folds(set(names), dataset.evaluation_folds, rng)
        clips += [Clip(path, UNKNOWN, name, folds[name]) for path, name in zip(files, names, strict=True)]
    return clips
