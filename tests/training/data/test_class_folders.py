"""Own sounds: one folder for each class."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.errors import InputError
from training.data.class_folders import load_folders, recording_name
from training.data.loading import load_dataset


def test_own_sounds_keep_a_group_in_one_fold(tmp_path, write_silence):
    """Takes of one recording, and files of one subfolder, stay in one fold."""
    names = [f"{i}-{take}.wav" for i in range(6) for take in "AB"] + [f"field/{i}.flac" for i in range(4)]
    for label in ("frog", "owl"):
        write_silence(tmp_path / label, names)
    dataset = load_folders(tmp_path)
    assert dataset.labels == ("frog", "owl")
    folds_of: dict[str, set[int]] = {}
    for clip in dataset.clips:
        folds_of.setdefault(clip.recording, set()).add(clip.fold)
    assert len(folds_of) == 14
    assert all(len(folds) == 1 for folds in folds_of.values())


@pytest.mark.parametrize(
    ("names", "recordings"),
    [
        (["1-211527-A", "1-211527-B"], 1),  # ESC-50's takes
        (["REC0007_1", "REC0007_2", "REC0008_1"], 2),  # cuts of a numbered recording
        (["frog_1", "frog_2", "frog_3"], 3),  # numbered recordings
        (["20240501_123000", "20240501_124500"], 2),  # a recorder's clock
        (["2024-05-01_12-30-05", "2024-05-01_12-31-10"], 2),
    ],
)
def test_names_of_one_recording_end_alike(names, recordings):
    """The end of a name distinguishes parts of one recording from numbered recordings and from times."""
    folder = Path("frog")
    assert len({recording_name(folder / f"{name}.wav", folder) for name in names}) == recordings


def test_few_clips_and_files_that_are_no_sound_warn(tmp_path, make_class_folders):
    """Fewer than 20 clips of a class give a warning, and so do files in an unreadable format."""
    data = make_class_folders(tmp_path, "frog", "owl")
    assert load_dataset(data).warnings == ()
    (data / "owl" / "owl_0.wav").rename(data / "owl" / "owl_0.m4a")
    few, left_out = load_dataset(data).warnings
    assert few.startswith("owl: 19 clips are few")
    assert "1 .m4a" in left_out


def test_unreadable_own_sounds_are_refused_all_at_once(tmp_path, make_class_folders):
    """One line names a text file, an empty file and a sound of no length, before a long run."""
    data = make_class_folders(tmp_path, "frog", "owl")
    (data / "frog" / "text.wav").write_text("not sound")
    (data / "frog" / "empty.flac").write_bytes(b"")
    soundfile.write(data / "owl" / "none.wav", np.zeros(0), 8000)
    with pytest.raises(InputError) as caught:
        load_dataset(data)
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value) for name in ("text.wav", "empty.flac", "none.wav", "Replace or remove"))


@pytest.mark.parametrize("name", ["unknown", "a+b", "c#"])
def test_folders_that_cannot_name_a_class_are_refused(tmp_path, name, make_class_folders):
    """Names that cannot be an MQTT topic, and `unknown`, are refused at loading."""
    with pytest.raises(InputError, match="--negatives"):
        load_dataset(make_class_folders(tmp_path, "frog", name))


def test_own_classes_are_added_to_urbansound8k(urbansound8k, tmp_path, make_class_folders):
    """New classes join the labels, a known label gets more clips, and all are in the evaluation folds."""
    data = make_class_folders(tmp_path, "frog", "hiss", count=6)
    dataset = load_dataset(data, base=urbansound8k)
    assert dataset.labels == ("clicks", "hiss", "tone", "frog")
    assert dataset.evaluation_folds == (1, 3, 10)
    count = {label: sum(clip.label == label for clip in dataset.clips) for label in dataset.labels}
    assert count == {"clicks": 18, "hiss": 24, "tone": 18, "frog": 6}
    assert dataset.description.startswith("54 of the table's 55")
    assert "frog (6 of 6 recordings)" in dataset.description
    assert dataset.warnings[0].startswith("frog: 6 clips are few")
