"""Own sounds: one folder for each class, named like its label."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from device.audio.files import SUFFIXES
from device.errors import InputError
from device.model.manifest import is_label
from device.types import UNKNOWN
from training.data.dataset import DEFAULT_FOLD_COUNT, Clip, Dataset, assign_folds, is_hidden, sound_files
from training.data.recording_names import known_folds, recording_name, tie_folds
from training.data.urbansound8k import TABLE

FEW_CLIPS = 20
"""A class with fewer clips gets a warning: the network would learn its few recordings by heart."""


def load_folders(
    data: Path,
    seed: int = 0,
    folds: Sequence[int] = tuple(range(1, DEFAULT_FOLD_COUNT + 1)),
    known: Mapping[str, int] | None = None,
) -> Dataset:
    """Read one folder of sound files for each class. A recording (see `recording_name`) is never split between folds.

    Args:
        data: folder that contains the class folders.
        seed: seed of the random assignment of recordings to folds.
        folds: folds to assign to.
        known: folds of recordings of freesound.org, by id, in which their clips have to be.

    Raises:
        InputError: no class folder contains sounds, or a folder's name cannot be a label.
    """
    folders = {path.name: sound_files(path) for path in sorted(data.iterdir()) if path.is_dir()}
    labels = tuple(label for label, files in folders.items() if files and not label.startswith("."))
    if not labels:
        raise InputError(
            f"{data}: neither {TABLE} nor class folders with sounds ({', '.join(sorted(SUFFIXES))}) found. "
            "Set --data to UrbanSound8K, or to a folder with one folder of sounds for each class"
        )
    if wrong := [label for label in labels if not is_label(label)]:
        raise InputError(
            f"{data}: folders named {', '.join(wrong)} cannot name a class: a label becomes an MQTT topic, "
            f"without + and #. Rename them; pass sounds that are none of the classes ({UNKNOWN}) with --negatives"
        )
    rng, known = random.Random(seed), dict(known or {})
    clips: list[Clip] = []
    for label in labels:
        files = [(path, recording_name(path, data / label)) for path in folders[label]]
        fold_of = assign_folds({name for _, name in files}, folds, rng)
        tie_folds(files, fold_of, known)
        clips += [Clip(path, label, f"{label}/{name}", fold_of[name]) for path, name in files]
    return Dataset(
        data.resolve().name, labels, tuple(clips), _description(labels, clips), warnings=_warnings(data, clips)
    )


def add_class_folders(base: Dataset, folder: Path, seed: int) -> Dataset:
    """Add own classes to a dataset. A folder named like one of its labels adds clips to that label.

    Recordings are assigned to the evaluation folds of `base`, so that each network is tested on both kinds of classes.
    """
    added = load_folders(folder, seed, base.evaluation_folds, known_folds(base.clips))
    labels = base.labels + tuple(label for label in added.labels if label not in base.labels)
    return replace(
        base,
        name=f"{base.name} and {added.name}",
        labels=labels,
        clips=base.clips + added.clips,
        description=f"{base.description}; {added.description}",
        warnings=base.warnings + added.warnings,
    )


def _description(labels: Sequence[str], clips: Sequence[Clip]) -> str:
    recordings: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        recordings[clip.label].add(clip.recording)
    count = Counter(clip.label for clip in clips)
    each = (f"{label} ({count[label]} of {len(recordings[label])} recordings)" for label in labels)
    return f"{len(clips)} clips found: {', '.join(each)}"


def _warnings(data: Path, clips: Sequence[Clip]) -> tuple[str, ...]:
    warnings = [
        f"{label}: {count} clips are few, a class needs at least {FEW_CLIPS}. Add clips of other places and days"
        for label, count in sorted(Counter(clip.label for clip in clips).items())
        if count < FEW_CLIPS
    ]
    used = {clip.path for clip in clips}
    left_out = Counter(
        path.suffix.lower() or "without ending"
        for path in data.rglob("*")
        if path.is_file() and path not in used and not is_hidden(path, data)
    )
    if left_out:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(left_out.items()))
        warnings.append(
            f"{data}: files left out: {kinds}. If they are sounds, convert them to WAV (ffmpeg -i FILE FILE.wav), in a "
            "folder for each class"
        )
    return tuple(warnings)
