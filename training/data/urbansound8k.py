"""UrbanSound8K, complete or in part."""

import csv
from collections import Counter
from pathlib import Path

from device.errors import InputError
from training.data.dataset import Clip, Dataset, sound_files

NAME = "UrbanSound8K"
TABLE = Path("metadata", "UrbanSound8K.csv")
_COLUMNS = {"slice_file_name", "fsID", "salience", "fold", "classID", "class"}


def load_urbansound8k(data: Path) -> Dataset:
    """Read UrbanSound8K, complete or in part, in any sound file format.

    Raises:
        InputError: the table is missing or lacks columns, or none of its clips was found.
    """
    table = data / TABLE
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = _COLUMNS.difference(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise InputError(
            f"{table}: {error.strerror}. Set --data to the folder that holds metadata/ and audio/"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table}: not a text file. Take it from UrbanSound8K's archive") from error
    if missing:
        raise InputError(f"{table}: columns missing: {', '.join(sorted(missing))}. Take it from UrbanSound8K's archive")
    by_stem = {path.stem: path for path in sound_files(data / "audio")}
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
        NAME,
        tuple(labels[number] for number in sorted(labels)),
        tuple(clips),
        f"{len(clips)} of the table's {len(rows)} clips found, in folds {folds}; folds missing: {absent}",
    )
