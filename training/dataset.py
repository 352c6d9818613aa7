"""Which clips there are, what they hold, and which must stay together."""

import csv
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device.audio.files import SUFFIXES
from device.errors import InputError
from device.types import UNKNOWN

OWN_FOLDS = 5
"""Folds that recordings of the user's own sounds are dealt to."""

_TABLE = Path("metadata", "UrbanSound8K.csv")
_TABLE_COLUMNS = {"slice_file_name", "fsID", "salience", "fold", "classID", "class"}
_TAKE = re.compile(r"-[A-Z]$")
"""ESC-50 names several clips of one recording `1-211527-A`, `1-211527-B`."""


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
        found: which clips and folds of the table were found, in words.
        leaks: whether its folds share recordings after all (`split_at_random`): figures on them mean nothing, and what
            was trained on them must not ship.
    """

    name: str
    labels: tuple[str, ...]
    clips: tuple[Clip, ...]
    found: str
    leaks: bool = False

    @property
    def judged_folds(self) -> tuple[int, ...]:
        """Folds that hold every label. The others have too few clips to judge by, and only train."""
        present: dict[int, set[str]] = defaultdict(set)
        for clip in self.clips:
            present[clip.fold].add(clip.label)
        return tuple(sorted(fold for fold, labels in present.items() if labels.issuperset(self.labels)))


def load_dataset(data: Path, negatives: Sequence[Path] = (), seed: int = 0) -> Dataset:
    """Read UrbanSound8K where its table is, else one folder a class; add sounds that are none of the labels.

    Args:
        data: folder that holds `metadata/UrbanSound8K.csv` and `audio/`, or one folder for each class.
        negatives: folders of other sounds; a subfolder named like a label is left out.
        seed: of the draw that deals recordings without a fold to folds.

    Raises:
        InputError: no clip found, a table that is not one, fewer than three folds to judge by.
    """
    if not data.is_dir():
        raise InputError(f"no data at {data}: not a folder. Set --data to the folder that holds the clips")
    dataset = load_urbansound8k(data) if (data / _TABLE).exists() else load_folders(data, seed)
    if len(dataset.judged_folds) < 3:
        raise InputError(
            f"{data}: {len(dataset.judged_folds)} folds hold every label, needed are 3: one to test, one to "
            f"choose by, one to train. {dataset.found}. Add clips"
        )
    return replace(dataset, clips=dataset.clips + tuple(_negatives(negatives, dataset, random.Random(seed))))


def split_at_random(dataset: Dataset, seed: int) -> Dataset:
    """Deal clips to folds one by one, as the seed article did, so that slices of one recording are on both sides."""
    rng = random.Random(seed)
    folds: dict[int, int] = {}
    for label in (*dataset.labels, UNKNOWN):
        numbers = [number for number, clip in enumerate(dataset.clips) if clip.label == label]
        rng.shuffle(numbers)
        folds |= {number: place % OWN_FOLDS + 1 for place, number in enumerate(numbers)}
    clips = tuple(replace(clip, fold=folds[number]) for number, clip in enumerate(dataset.clips))
    return replace(dataset, clips=clips, leaks=True)


def load_urbansound8k(data: Path) -> Dataset:
    """Read UrbanSound8K, or the part of it that is there, in any of the formats it is passed around in.

    Raises:
        InputError: no table, one without its columns, or no clip of it found.
    """
    table = data / _TABLE
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = _TABLE_COLUMNS.difference(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise InputError(
            f"{table}: {error.strerror}. Set --data to the folder that holds metadata/ and audio/"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table}: not a text file. Take it from UrbanSound8K's archive") from error
    if missing:
        raise InputError(f"{table}: columns missing: {', '.join(sorted(missing))}. Take it from UrbanSound8K's archive")
    by_stem = {path.stem: path for path in _sound_files(data / "audio")}
    clips = []
    for row in rows:
        stem = Path(row["slice_file_name"]).stem
        if stem in by_stem:
            clips.append(Clip(by_stem[stem], row["class"], row["fsID"], int(row["fold"]), row["salience"] == "1"))
    if not clips:
        raise InputError(f"{data / 'audio'}: no clip of {table.name} found. Put the folders fold1 to fold10 there")
    labels = {int(row["classID"]): row["class"] for row in rows}
    in_table, in_data = (Counter(int(row["fold"]) for row in rows), Counter(clip.fold for clip in clips))
    folds = ", ".join(f"{fold} ({in_data[fold]} of {in_table[fold]})" for fold in sorted(in_data))
    absent = ", ".join(str(fold) for fold in sorted(set(in_table) - set(in_data))) or "none"
    return Dataset(
        "UrbanSound8K",
        tuple(labels[number] for number in sorted(labels)),
        tuple(clips),
        f"{len(clips)} of the table's {len(rows)} clips found, in folds {folds}; folds missing: {absent}",
    )


def load_folders(data: Path, seed: int = 0) -> Dataset:
    """Read one folder of sounds for each class; its name is the label.

    Files in a subfolder are one recording; so are files whose names differ in a last `-A`, `-B` alone.

    Raises:
        InputError: fewer than two class folders hold sounds.
    """
    folders = {path.name: _sound_files(path) for path in sorted(data.iterdir()) if path.is_dir()}
    labels = tuple(label for label, files in folders.items() if files)
    if len(labels) < 2:
        raise InputError(
            f"{data}: neither {_TABLE} nor two class folders with sounds ({', '.join(sorted(SUFFIXES))}) found. "
            "Set --data to UrbanSound8K, or to a folder with one folder of sounds for each class"
        )
    rng = random.Random(seed)
    clips: list[Clip] = []
    for label in labels:
        files = [(path, _recording(path, data / label)) for path in folders[label]]
        folds = _deal({recording for _, recording in files}, range(1, OWN_FOLDS + 1), rng)
        clips += [Clip(path, label, f"{label}/{name}", folds[name]) for path, name in files]
    counts = ", ".join(f"{label} ({len(folders[label])})" for label in labels)
    return Dataset(data.resolve().name, labels, tuple(clips), f"{len(clips)} clips found: {counts}")


def _negatives(folders: Iterable[Path], dataset: Dataset, rng: random.Random) -> list[Clip]:
    """Clips of other sounds, their recordings dealt evenly to the folds that are judged."""
    clips = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"no negatives at {folder}: not a folder. Set --negatives to a folder of sounds")
        files = [p for p in _sound_files(folder) if not set(p.relative_to(folder).parts) & set(dataset.labels)]
        if not files:
            raise InputError(f"{folder}: no sound ({', '.join(sorted(SUFFIXES))}) found. Set --negatives anew")
        names = [f"{folder.name}/{_TAKE.sub('', path.stem)}" for path in files]
        if len(set(names)) < len(dataset.judged_folds):
            raise InputError(
                f"{folder}: {len(set(names))} recordings are too few to deal to {len(dataset.judged_folds)} folds. "
                "Add recordings"
            )
        folds = _deal(set(names), dataset.judged_folds, rng)
        clips += [Clip(path, UNKNOWN, name, folds[name]) for path, name in zip(files, names, strict=True)]
    return clips


def _deal(recordings: set[str], folds: Sequence[int], rng: random.Random) -> dict[str, int]:
    """Deal recordings to folds like shuffled cards, so that each fold gets as many, give or take one."""
    shuffled = sorted(recordings)
    rng.shuffle(shuffled)
    return {name: folds[number % len(folds)] for number, name in enumerate(shuffled)}


def _recording(path: Path, folder: Path) -> str:
    group = path.relative_to(folder).parts[:-1]
    return "/".join(group) if group else _TAKE.sub("", path.stem)


def _sound_files(folder: Path) -> list[Path]:
    """Sound files below a folder, sorted by name; hidden ones (`._x.wav` of a Mac's archive) are not sounds."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
