"""Recordings by the names of their files."""

from pathlib import Path

import pytest

from training.data.recording_names import freesound_id, recording_name

FOLDER = Path("frog")


@pytest.mark.parametrize(
    "names",
    [
        ["1-211527-A", "1-211527-B"],  # takes of ESC-50, without and with the class
        ["1-211527-A-0", "1-211527-B-0"],
        ["100032-3-0-0", "100032-3-1-0", "100032-5-0-12"],  # occurrences and slices of UrbanSound8K
        ["REC0007_1", "REC0007_2"],  # cuts of a numbered recording
        ["REC0007-1", "REC0007-12"],
        ["dog-A", "dog-B"],
        ["20240501_123000_1", "20240501_123000_2"],  # parts of what began at a time
        ["2024-05-01 12-30-05_1", "2024-05-01 12-30-05_2"],
    ],
)
def test_parts_of_a_recording_have_one_name(names):
    """Takes, slices and cuts belong to one recording."""
    assert len({recording_name(FOLDER / f"{name}.wav", FOLDER) for name in names}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["1-211527-A-0", "1-211528-A-0", "211527-3-0-0"],
        ["REC0007_1", "REC0008_1"],
        ["frog_1", "frog_2"],  # counters
        ["frog1", "frog2"],
        ["dog (3)", "dog (4)"],
        ["rec_0001", "rec_0002"],
        ["rec_001", "rec_002"],
        ["dog_2024_1", "dog_2024_2"],
        ["dog 2024-05-01", "dog 2024-05-02"],  # dates
        ["dog 2024_05_01", "dog 2024_05_02"],
        ["dog 01-05-2024", "dog 02-05-2024"],
        ["dog 24-05-01", "dog 24-05-02"],
        ["dog 1-5-24", "dog 1-5-25"],
        ["dog 2024-05", "dog 2024-06"],
        ["20240501_123000", "20240501_124500"],  # a recorder's clock
        ["2024-05-01_12-30-05", "2024-05-01_12-31-10", "2024-05-01_12-31-45"],
        ["2024-05-01_12-30", "2024-05-01_12-45"],
        ["12-30-05", "12-30-06"],
        ["20240501_001", "20240501_002"],  # a recorder's counter of the day
        ["240501_001", "240501_002"],
        ["2024-5-1-12", "2024-5-2-12"],
        ["A", "B"],
    ],
)
def test_dates_and_counters_are_recordings_of_their_own(names):
    """Names that end in a date, a time or a counter are one recording each."""
    assert len({recording_name(FOLDER / f"{name}.wav", FOLDER) for name in names}) == len(names)


def test_a_subfolder_is_a_recording_unless_names_tell_more():
    """Files of a subfolder are one recording; names of ESC-50 and UrbanSound8K have precedence."""
    names = ["field/1.wav", "field/2.wav", "field/1-100-A-0.wav", "field/100032-3-0-0.wav"]
    assert [recording_name(FOLDER / name, FOLDER) for name in names] == ["field", "field", "1-100", "100032"]


def test_ids_of_both_datasets_are_those_of_freesound():
    """A recording has one id, whichever dataset the clip is of; other names have none."""
    names = ["1-100-A-0.wav", "100-3-0-0.wav", "frog_1.wav", "2024-5-1-12.wav"]
    assert [freesound_id(Path(name)) for name in names] == ["100", "100", None, None]
