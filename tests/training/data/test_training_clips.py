"""Clips that only train."""

from pathlib import Path

import numpy as np
import pytest

from device.errors import InputError
from device.types import UNKNOWN
from training.data.dataset import TRAINING_FOLD, Clip, Dataset
from training.data.loading import load_dataset
from training.data.training_clips import add_training_clips

LABELS = ("dog_bark", "drilling")


def dataset(*clips):
    """Return a dataset with both labels in folds 1 to 3, and further clips."""
    labelled = tuple(Clip(Path(f"{f}-{label}.wav"), label, f"{f}-{label}", f) for f in (1, 2, 3) for label in LABELS)
    return Dataset("base", LABELS, (*labelled, *clips), "6 clips found")


def test_esc50_folders_are_labels_or_negatives(tmp_path, write_silence):
    """A folder named like a label adds clips to it, others are negatives; none of them tests or validates."""
    write_silence(tmp_path, ["dog_bark/1-100-A-0.wav", "rain/2-200-A-10.wav", "rain/3-300-B-10.wav"])
    extended = add_training_clips(dataset(), [tmp_path])
    added = extended.clips[6:]
    assert [clip.label for clip in added] == ["dog_bark", UNKNOWN, UNKNOWN]
    assert {clip.fold for clip in added} == {TRAINING_FOLD}
    assert extended.evaluation_folds == (1, 2, 3)
    assert extended.core.clips == dataset().clips
    assert "1 of the labels, 2 negatives" in extended.description


def test_esc50_fold_5_is_held_out(tmp_path, write_silence):
    """Fold 5 of ESC-50 trains nothing, as negatives neither."""
    write_silence(tmp_path, ["dog_bark/1-100-A-0.wav", "dog_bark/5-500-A-0.wav", "rain/5-501-A-10.wav"])
    negative = Clip(Path("esc10/rain/5-777-A-10.wav"), UNKNOWN, "esc10/5-777", 2)
    extended = add_training_clips(dataset(negative), [tmp_path])
    assert not any(clip.path.name.startswith("5-") for clip in extended.clips)


def test_files_of_any_other_folder_are_negatives_of_their_own_recordings(tmp_path, write_silence):
    """Files without ESC-50's names are negatives, or clips of the label that their folder is named like."""
    write_silence(tmp_path / "babble", ["babble-000.flac", "babble-001.flac", "drilling/mine.wav"])
    added = add_training_clips(dataset(), [tmp_path / "babble"]).clips[6:]
    assert [(clip.label, clip.recording, clip.tied_folds) for clip in added] == [
        (UNKNOWN, "babble/babble-000.flac", ()),
        (UNKNOWN, "babble/babble-001.flac", ()),
        ("drilling", "babble/drilling/mine.wav", ()),
    ]


def test_clips_of_one_recording_stay_together(tmp_path, write_silence):
    """A clip is left out with the fold of the negative that was cut from the same recording."""
    write_silence(tmp_path, ["rain/1-100-B-10.wav", "rain/1-101-A-10.wav"])
    extended = add_training_clips(dataset(Clip(Path("esc10/rain/1-100-A-10.wav"), UNKNOWN, "1-100", 2)), [tmp_path])
    tied = dict(zip([clip.path.name for clip in extended.clips], extended.belongs_to([2]), strict=True))
    assert tied["1-100-A-10.wav"]
    assert tied["1-100-B-10.wav"]
    assert not tied["1-101-A-10.wav"]


def test_a_clip_of_a_labelled_recording_is_left_out_with_its_fold(tmp_path, write_silence):
    """ESC-50 and UrbanSound8K share recordings of freesound.org, which their names contain."""
    write_silence(tmp_path, ["dog_bark/1-7061-A-0.wav", "dog_bark/1-7062-A-0.wav"])
    labelled = Clip(Path("fold2/7061-3-0-0.wav"), "dog_bark", "7061", 2)
    extended = add_training_clips(dataset(labelled), [tmp_path])
    assert [clip.tied_folds for clip in extended.clips[7:]] == [(2,), ()]


def write_table(folder, write_silence, *rows, columns="file,class,fsID,fold,note"):
    """Write a table and the files that it names."""
    write_silence(folder / "drilling", [row.split(",")[0] for row in rows])
    (folder / "table.csv").write_text("\n".join([columns, *rows]) + "\n")


def test_rebuilt_slices_are_left_out_with_their_folds_and_the_carriers(tmp_path, write_silence):
    """A slice trains only where neither its own folds nor the fold of its carrier is left out."""
    write_table(
        tmp_path,
        write_silence,
        'a.wav,drilling,fs9,7,"UrbanSound8K fold 7; carrier 7-4-0-2 (fold 2) filtered"',
        'b.wav,drilling,fs9,1/4,"carrier 8-4-0-2 (fold 3) filtered"',
        'c.wav,siren,fs9,1,"carrier 8-4-0-2 (fold 3) filtered"',
    )
    extended = add_training_clips(dataset(), [tmp_path])
    added = extended.clips[6:]
    assert [(clip.path.name, clip.recording, clip.tied_folds) for clip in added] == [
        ("a.wav", "9", (2, 7)),
        ("b.wav", "9", (1, 3, 4)),
    ]
    assert extended.belongs_to([2])[6:].tolist() == [True, False]
    assert extended.belongs_to([1, 7])[6:].tolist() == [True, True]


def test_backgrounds_come_from_the_own_fold_or_from_a_fold_in_turn(tmp_path, write_silence):
    """A clip of a fold gets ambience of that fold; one that only trains gets another fold for each copy."""
    write_silence(tmp_path, ["rain/1-100-B-10.wav"])
    extended = add_training_clips(dataset(), [tmp_path])
    folds = np.stack([extended.background_folds(copy) for copy in (1, 2, 3)])
    assert np.all(folds[:, :6] == [1, 1, 2, 2, 3, 3])
    assert set(folds[:, 6]) == {1, 2, 3}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "no clips at"),
        ("empty", "neither table.csv nor"),
        ("columns", "columns missing: note"),
        ("carrier", r"table.csv:2: .*names no carrier"),
        ("fold", r"table.csv:2: fold is 'x'"),
    ],
)
def test_unusable_folders_are_one_clear_line(tmp_path, write_silence, fault, message):
    """A folder that is missing, empty, or has a wrong table is one line with the path."""
    folder = tmp_path / "extra"
    if fault == "empty":
        folder.mkdir()
    if fault == "columns":
        write_table(folder, write_silence, "a.wav,drilling,fs1,1", columns="file,class,fsID,fold")
    if fault == "carrier":
        write_table(folder, write_silence, "a.wav,drilling,fs1,1,none")
    if fault == "fold":
        write_table(folder, write_silence, "a.wav,drilling,fs1,x,carrier 8-4-0-2 (fold 3) filtered")
    with pytest.raises(InputError, match=message) as caught:
        add_training_clips(dataset(), [folder])
    assert str(folder) in str(caught.value)


@pytest.mark.shared
def test_the_shared_data_has_its_roles(shared):
    """With everything added, the evaluation folds are the same, and no clip of ESC-50's fold 5 remains."""
    data = shared / "data"
    negatives = [data / "esc10", data / "ambience"]
    also = [data / "esc50", data / "esc10", data / "urbansound8k_rebuilt"]
    extended = load_dataset(data / "urbansound8k", negatives, also=also)
    added = [clip for clip in extended.clips if clip.fold == TRAINING_FOLD]
    assert extended.evaluation_folds == (1, 3, 10)
    assert sum(clip.path.parent.parent.name == "urbansound8k_rebuilt" for clip in added) == 650
    assert {clip.label for clip in added if clip.recording.startswith("esc50/")} == {
        "car_horn",
        "dog_bark",
        "engine_idling",
        "siren",
        UNKNOWN,
    }
    assert not any(clip.path.name.startswith("5-") for clip in added)
    test_fold = {
        clip.path.name.split("-")[1] for clip in extended.clips if "esc10" in clip.recording and clip.fold == 3
    }
    left_out = extended.belongs_to([3])
    assert not any(
        clip.path.name.split("-")[1] in test_fold
        for clip, out in zip(extended.clips, left_out, strict=True)
        if clip.recording.startswith("esc50/") and not out
    )
