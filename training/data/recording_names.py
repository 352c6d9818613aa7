"""Recording names: which sound files are parts of one recording, by their paths.

Parts of a recording sound alike. If one trains a network and another one tests it, the test is too easy.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from training.data.dataset import Clip

_ESC50 = re.compile(r"(?P<name>(?P<fold>[1-5])-(?P<id>\d+))-[A-Z](-\d{1,2})?")
"""Name of a clip of ESC-50: fold, Freesound id, take, class. Some copies leave out the class."""
_URBANSOUND8K = re.compile(r"(?P<name>(?P<id>(?!(19|20)\d\d-)\d+))-\d-\d+-\d+")
"""Name of a slice of UrbanSound8K: Freesound id, class, occurrence, slice. No id is a year, so a date is none."""
_TAKE = re.compile(r"(?<=.)-[A-Z]$")
_NUMBER = re.compile(r"(?<=\d)[-_]\d{1,3}$")
_YEAR = r"(?<![A-Za-z\d])(?:19|20)\d\d"
_DATE = r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
_ENDS_IN_TIME = re.compile(rf"{_DATE}[-_ T]\d\d([-_.]?)\d\d(?:\2\d\d)?$")
_ENDS_IN_DATE = [
    re.compile(f"{pattern}$")
    for pattern in (
        _DATE,
        r"(?<!\d)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])",  # 240501
        r"(?<!\d)\d{1,2}([-_.])\d{1,2}\1\d\d",  # 24-05-01, 1.5.24, and times
        rf"{_YEAR}(?:[-_.]\d\d?)*",  # 2024, 2024-05, 2024-5-1
    )
]


def recording_name(path: Path, folder: Path) -> str:
    """Return the name that all files of one recording below a folder share.

    Names of ESC-50 and UrbanSound8K contain it. Otherwise the files of a subfolder are one recording, and so are files
    whose names differ only in a last `-A`, `-B`, or in a last number of up to three digits after a number, as
    `REC0007_1` and `REC0007_2`. A number is no such part in a date or a time, or if it counts the files of a date.
    """
    if match := _dataset_name(path):
        return match["name"]
    if group := path.relative_to(folder).parts[:-1]:
        return "/".join(group)
    stem = _TAKE.sub("", path.stem)
    without_number = _NUMBER.sub("", stem)
    if _ENDS_IN_TIME.search(stem):
        return stem
    if _ENDS_IN_TIME.search(without_number):
        return without_number
    is_dated = any(pattern.search(each) for pattern in _ENDS_IN_DATE for each in (stem, without_number))
    return stem if is_dated else without_number


def freesound_id(path: Path) -> str | None:
    """Return the id on freesound.org of the recording of a clip of ESC-50 or UrbanSound8K; None for other names."""
    match = _dataset_name(path)
    return match["id"] if match else None


def esc50_fold(path: Path) -> int | None:
    """Return the fold of a clip of ESC-50, 1 to 5, by its name; None for other names."""
    match = _ESC50.fullmatch(path.stem)
    return int(match["fold"]) if match else None


def _dataset_name(path: Path) -> re.Match[str] | None:
    return _ESC50.fullmatch(path.stem) or _URBANSOUND8K.fullmatch(path.stem)


def known_folds(clips: Iterable[Clip]) -> dict[str, int]:
    """Return the fold of each recording of freesound.org that clips come from, by its id."""
    return {number: clip.fold for clip in clips if (number := freesound_id(clip.path)) is not None}


def tie_folds(files: Iterable[tuple[Path, str]], fold_of: dict[str, int], known: dict[str, int]) -> None:
    """Move recordings to the fold in which other clips of the same recording are; add the others to the known ones.

    Args:
        files: sound files with the names of their recordings.
        fold_of: fold of each recording; changed.
        known: fold of each recording of freesound.org, by its id; changed.
    """
    for path, name in files:
        if (number := freesound_id(path)) is not None:
            fold_of[name] = known.setdefault(number, fold_of[name])
