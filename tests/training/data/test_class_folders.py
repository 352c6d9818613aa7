"""Own sounds: one folder for each class."""

from collections import defaultdict

import numpy as np
import pytest
import soundfile

from device.errors import InputError
from training.data.class_folders import add_class_folders, load_folders
from training.data.loading import load_dataset
from training.data.recording_names import freesound_id
from training.data.urbansound8k import load_urbansound8k


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


def test_clips_of_a_known_recording_share_a_fold_across_classes(tmp_path, write_silence):
    """Clips named as in ESC-50 and UrbanSound8K that come from one recording are in one fold, whatever their class."""
    for label, number in (("frog", 0), ("owl", 1)):
        names = [f"1-{100 + each}-{take}-{number}.wav" for each in range(6) for take in "AB"]
        names += [f"{100 + each}-{number}-{slice_}-0.wav" for each in range(6) for slice_ in range(2)]
        write_silence(tmp_path / label, names)
    folds = defaultdict(set)
    for clip in load_folders(tmp_path).clips:
        folds[freesound_id(clip.path)].add(clip.fold)
    assert len(folds) == 6
    assert all(len(each) == 1 for each in folds.values())
    assert len(set.union(*folds.values())) > 2


def test_added_clips_are_in_the_fold_of_their_recording(urbansound8k, tmp_path, write_silence):
    """A clip that was cut from a recording of UrbanSound8K is added to the fold of that recording."""
    base = load_urbansound8k(urbansound8k)
    fold_of = {clip.recording: clip.fold for clip in base.clips}
    write_silence(tmp_path / "frog", [f"{recording}-9-7-0.wav" for recording in fold_of])
    added = add_class_folders(base, tmp_path, 0).clips[len(base.clips) :]
    assert {clip.recording.removeprefix("frog/"): clip.fold for clip in added} == fold_of


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
