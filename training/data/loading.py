"""Loading of a dataset from the folders that the user names."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from device.audio.files import SUFFIXES, describe_foreign
from device.audio.sound_file import open_sound
from device.errors import InputError
from device.types import UNKNOWN
from training.data.array_cache import file_digest
from training.data.class_folders import add_class_folders, load_folders
from training.data.dataset import Clip, Dataset, assign_folds, sound_files
from training.data.recording_names import known_folds, recording_name, tie_folds
from training.data.training_clips import add_training_clips
from training.data.urbansound8k import TABLE, load_urbansound8k


def load_dataset(
    data: Path, negatives: Sequence[Path] = (), seed: int = 0, base: Path | None = None, also: Sequence[Path] = ()
) -> Dataset:
    """Read UrbanSound8K if its table exists, else one folder for each class; add the negatives.

    Args:
        data: folder that contains `metadata/UrbanSound8K.csv` and `audio/`, or one folder for each class.
        negatives: folders of other sounds; a subfolder named like a label is skipped.
        seed: seed of the random assignment of recordings to folds.
        base: UrbanSound8K, to which the classes of `data` are added; None to use `data` alone.
        also: folders of clips that only train (see `training.data.training_clips`).

    Raises:
        InputError: no clip was found, a file is not a sound file, the table is invalid, or there are fewer than two
            labels or three evaluation folds.
    """
    if not data.is_dir():
        raise InputError(f"no data at {data}: not a folder. Set --data to the folder that holds the clips")
    if base is not None:
        dataset = add_class_folders(load_urbansound8k(base), data, seed)
    else:
        dataset = load_urbansound8k(data) if (data / TABLE).exists() else load_folders(data, seed)
    if len(dataset.labels) < 2:
        raise InputError(f"{data}: {dataset.labels[0]} is the only class, a network needs at least two. Add one")
    if len(dataset.evaluation_folds) < 3:
        raise InputError(
            f"{data}: {len(dataset.evaluation_folds)} folds contain every label, needed are 3: one to test, one to "
            f"validate, one to train. {dataset.description}. Add clips of other recordings"
        )
    dataset = replace(dataset, clips=dataset.clips + tuple(_negatives(negatives, dataset, random.Random(seed))))
    dataset = add_training_clips(dataset, also)
    _check_readable(dataset.clips)
    return replace(dataset, warnings=dataset.warnings + tuple(_check_copies(dataset.clips)))


def _check_readable(clips: Iterable[Clip]) -> None:
    """Refuse unreadable files, all at once and before a long run, instead of training on fewer clips."""
    bad = []
    for clip in clips:
        try:
            with open_sound(clip.path):
                pass
        except InputError as error:
            bad.append(str(error))
    if bad:
        raise InputError(f"unreadable sound files: {'; '.join(bad)}. Replace or remove them")


def _check_copies(clips: Iterable[Clip]) -> Iterator[str]:
    """Yield a warning for each sound that is there twice, in different folds.

    Raises:
        InputError: a sound is there twice, with different labels.
    """
    alike: dict[object, list[Clip]] = defaultdict(list)
    for clip in clips:
        alike[clip.path.stat().st_size, _beginning(clip.path)].append(clip)
    firsts: dict[str, Clip] = {}
    for clip in (clip for group in alike.values() if len(group) > 1 for clip in group):
        first = firsts.setdefault(file_digest(clip.path), clip)
        if first.label != clip.label:
            raise InputError(
                f"the same sound has two labels: {first.path} is {first.label}, {clip.path} is {clip.label}. Remove one"
            )
        if first.fold not in (clip.fold, *clip.tied_folds) and clip.fold not in first.tied_folds:
            yield f"{clip.path}: the same sound as {first.path}, so training and test share it. Remove one"


def _beginning(path: Path) -> bytes:
    """Return the digest of a file's first bytes. Few files have to be read to their end then."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(1 << 16)).digest()


def _negatives(folders: Iterable[Path], dataset: Dataset, rng: random.Random) -> list[Clip]:
    """Return clips of other sounds, with their recordings assigned evenly to the evaluation folds."""
    clips, known = [], known_folds(dataset.clips)
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"no negatives at {folder}: not a folder. Set --negatives to a folder of sounds")
        files = [p for p in sound_files(folder) if not set(p.relative_to(folder).parts) & set(dataset.labels)]
        if not files:
            foreign = describe_foreign(folder.rglob("*"))
            raise InputError(
                f"{folder}: no sound ({', '.join(sorted(SUFFIXES))}) found. "
                f"{foreign or 'Set --negatives to a folder of sounds'}"
            )
        names = [f"{folder.name}/{recording_name(path, path.parent)}" for path in files]
        if len(set(names)) < len(dataset.evaluation_folds):
            raise InputError(
                f"{folder}: {len(set(names))} recordings are too few for {len(dataset.evaluation_folds)} folds. "
                "Add recordings"
            )
        fold_of = assign_folds(set(names), dataset.evaluation_folds, rng)
        tie_folds(zip(files, names, strict=True), fold_of, known)
        clips += [Clip(path, UNKNOWN, name, fold_of[name]) for path, name in zip(files, names, strict=True)]
    return clips
