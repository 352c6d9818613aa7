"""UrbanSound8K, complete or in part."""

from collections import Counter
from pathlib import Path

from device.errors import InputError
from device.model.manifest import is_label
from training.data.dataset import Clip, Dataset, sound_files
from training.data.table import Row, read_table

NAME = "UrbanSound8K"
TABLE = Path("metadata", "UrbanSound8K.csv")
_COLUMNS = {"slice_file_name", "fsID", "salience", "fold", "classID", "class"}
_ORIGIN = "Take it from UrbanSound8K's archive"


def load_urbansound8k(data: Path) -> Dataset:
    """Read UrbanSound8K, complete or in part, in any sound file format.

    Raises:
        InputError: the table is missing or lacks columns, a row is invalid, or none of its clips was found.
    """
    if not (data / TABLE).exists():
        raise InputError(f"{data / TABLE}: no such file. Set --data to the folder that holds metadata/ and audio/")
    rows = read_table(data / TABLE, _COLUMNS, _ORIGIN)
    labels = _labels(rows)
    by_stem = {path.stem: path for path in sound_files(data / "audio")}
    clips = []
    for row in rows:
        stem, fold = Path(row["slice_file_name"]).stem, row.number("fold", least=1)
        if stem in by_stem:
            clips.append(Clip(by_stem[stem], row["class"], row["fsID"], fold, row["salience"] == "1"))
    if not clips:
        raise InputError(f"{data / 'audio'}: no clip of {TABLE.name} found. Put the folders fold1 to fold10 there")
    in_table, in_data = (Counter(int(row["fold"]) for row in rows), Counter(clip.fold for clip in clips))
    folds = ", ".join(f"{fold} ({in_data[fold]} of {in_table[fold]})" for fold in sorted(in_data))
    absent = ", ".join(str(fold) for fold in sorted(set(in_table) - set(in_data))) or "none"
    return Dataset(
        NAME,
        tuple(labels[number] for number in sorted(labels)),
        tuple(clips),
        f"{len(clips)} of the table's {len(rows)} clips found, in folds {folds}; folds missing: {absent}",
    )


def _labels(rows: list[Row]) -> dict[int, str]:
    """Return the class of each classID.

    Raises:
        InputError: two rows contradict each other, or a class cannot be a label.
    """
    labels: dict[int, str] = {}
    numbers: dict[str, int] = {}
    first_rows: dict[str, Row] = {}
    for row in rows:
        label, number = row["class"], row.number("classID")
        if not is_label(label):
            raise row.fault(f"class is {label!r}, which cannot be a label: a label becomes an MQTT topic. Rename it")
        if labels.setdefault(number, label) != label:
            raise row.fault(f"classID {number} is {label}, but {labels[number]} above. {_ORIGIN}")
        if numbers.setdefault(label, number) != number:
            raise row.fault(f"class {label} has the classID {number}, but {numbers[label]} above. {_ORIGIN}")
        first = first_rows.setdefault(row["slice_file_name"], row)
        if first is not row:
            raise row.fault(f"{row['slice_file_name']} is listed on line {first.line} already. Delete one of them")
    return labels
