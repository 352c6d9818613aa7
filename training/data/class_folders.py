"""Sounds of the user's own: one folder for each class, its name the label."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from device.audio.files import SUFFIXES
from device.errors import InputError
from device.model.bundle import is_label
from device.types import UNKNOWN
from training.data.dataset import DEFAULT_FOLD_COUNT, Clip, Dataset, assign_folds, sound_files
from training.data.urbansound8k import TABLE

FEW_CLIPS = 20
"""Below this a class warns: what is learnt of it will be its few recordings."""

_PART = re.compile(r"-[A-Z]$|(?<=\d)[-_]\d{1,3}$")
"""Ends of names that tell parts of one recording: `1-211527-A`, `REC0007_2`, but neither `frog_2` nor
`20240501_123000`."""


def load_folders(data: Path, seed: int = 0, folds: Sequence[int] = tuple(range(1, DEFAULT_FOLD_COUNT + 1))) -> Dataset:
    """Read one folder of sound files for each class.

    Files in a subfolder are one recording; so are files whose names differ in a last `-A`, `-B`, or in a last number
    of up to three digits after a number (`REC0007_1`, `REC0007_2`). Recordings are dealt to folds whole.

    Args:
        data: the folder of folders.
        seed: of the draw that deals recordings to folds.
        folds: to deal to.

    Raises:
        InputError: no class folder holds sounds.
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
            f"{data}: folders named {', '.join(wrong)} cannot name a class: it becomes a topic, without + and #. "
            f"Rename them; sounds that are none of the classes ({UNKNOWN}) are given with --negatives"
        )
    rng = random.Random(seed)
    clips: list[Clip] = []
    for label in labels:
        files = [(path, recording_name(path, data / label)) for path in folders[label]]
        dealt = assign_folds({name for _, name in files}, folds, rng)
        clips += [Clip(path, label, f"{label}/{name}", dealt[name]) for path, name in files]
    return Dataset(
        data.resolve().name, labels, tuple(clips), _description(labels, clips), warnings=_warnings(data, clips)
    )


def add_class_folders(base: Dataset, own: Path, seed: int) -> Dataset:
    """A dataset with the user's own classes beside its own; a folder named like one of its labels adds to it.

    Recordings are dealt to the folds of `base` that are judged, so that a network is tested on both at once.
    """
    added = load_folders(own, seed, base.evaluation_folds)
    labels = base.labels + tuple(label for label in added.labels if label not in base.labels)
    return replace(
        base,
        name=f"{base.name} and {added.name}",
        labels=labels,
        clips=base.clips + added.clips,
        description=f"{base.description}; {added.description}",
        warnings=base.warnings + added.warnings,
    )


def recording_name(path: Path, folder: Path) -> str:
    """Name that the files of one recording below a folder share (see `load_folders`)."""
    group = path.relative_to(folder).parts[:-1]
    return "/".join(group) if group else _PART.sub("", path.stem)


def _description(labels: Sequence[str], clips: Sequence[Clip]) -> str:
    recordings: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        recordings[clip.label].add(clip.recording)
    count = Counter(clip.label for clip in clips)
    each = (f"{label} ({count[label]} of {len(recordings[label])} recordings)" for label in labels)
    return f"{len(clips)} clips found: {', '.join(each)}"


def _warnings(data: Path, clips: Sequence[Clip]) -> tuple[str, ...]:
    few = [
        f"{label}: {count} clips are few, at least {FEW_CLIPS} teach a class. Add others, of other places and days"
        for label, count in sorted(Counter(clip.label for clip in clips).items())
        if count < FEW_CLIPS
    ]
    used = {clip.path for clip in clips}
    left_out = Counter(
        path.suffix.lower() or "without ending"
        for path in data.rglob("*")
        if path.is_file() and path not in used and not path.name.startswith(".")
    )
    if left_out:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(left_out.items()))
        few.append(f"{data}: files left out: {kinds}. If they are sounds, convert them to WAV, a folder for each class")
    return tuple(few)
