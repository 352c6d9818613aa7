from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from device.errors import InputError
from device.types import UNKNOWN
from training.data.class_folders import load_folders, recording
from training.data.dataset import Clip, Dataset, deal, split_at_random
from training.data.loading import load_dataset
from training.data.urbansound8k import load_urbansound8k
from training.fitting.head_trainer import splits


def touch_sounds(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(800), 8000)


def test_finds_clips_by_stem_and_says_which(urbansound8k):
    """The loader tells how much of the table is there, and which folds are not."""
    dataset = load_urbansound8k(urbansound8k)
    assert dataset.labels == ("clicks", "hiss", "tone")
    assert len(dataset.clips) == 54
    assert "54 of the table's 55" in dataset.found
    assert "folds missing: 2" in dataset.found
    assert dataset.judged_folds == (1, 3, 10)


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_takes_other_formats_than_the_table_names(tmp_path, make_urbansound8k, suffix):
    """A table that says .wav finds the clip by its stem, whatever the format."""
    dataset = load_urbansound8k(make_urbansound8k(tmp_path, recordings=1, clips=1, suffix=suffix))
    assert {clip.path.suffix for clip in dataset.clips} == {suffix}
    assert len(dataset.clips) == 9


def test_negatives_leave_out_folders_named_like_a_label(urbansound8k, negatives):
    """ESC-10's dog_bark must not become a negative of a network that knows dog_bark."""
    dataset = load_dataset(urbansound8k, [negatives])
    others = [clip for clip in dataset.clips if clip.label == UNKNOWN]
    assert len(others) == 9
    assert {clip.fold for clip in others} == {1, 3, 10}


def test_own_sounds_keep_a_group_in_one_fold(tmp_path):
    """Takes of one recording, and files of one subfolder, are never split."""
    names = [f"{i}-{take}.wav" for i in range(6) for take in "AB"] + [f"field/{i}.flac" for i in range(4)]
    for label in ("frog", "owl"):
        touch_sounds(tmp_path / label, names)
    dataset = load_folders(tmp_path)
    assert dataset.labels == ("frog", "owl")
    folds_of: dict[str, set[int]] = {}
    for clip in dataset.clips:
        folds_of.setdefault(clip.recording, set()).add(clip.fold)
    assert len(folds_of) == 14
    assert all(len(folds) == 1 for folds in folds_of.values())


@pytest.mark.parametrize("what", ["absent", "empty", "no columns", "no clips", "not text"])
def test_unusable_data_is_one_clear_line(tmp_path, what):
    """Each fault names the path and the cure, in one line."""
    data = tmp_path / "data"
    if what != "absent":
        (data / "metadata").mkdir(parents=True)
    table = data / "metadata" / "UrbanSound8K.csv"
    if what == "no columns":
        table.write_text("a,b\n1,2\n")
    if what == "not text":
        table.write_bytes(b"\xff\xfe\x00\x9f" * 20)
    if what == "no clips":
        table.write_text("slice_file_name,fsID,start,end,salience,fold,classID,class\n1-0-0-0.wav,1,0,4,1,2,0,horn\n")
    with pytest.raises(InputError) as caught:
        load_dataset(data)
    assert str(data) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_folds_is_said(tmp_path):
    """With two folds there is none left to choose by."""
    touch_sounds(tmp_path / "a", ["1.wav", "2.wav"])
    touch_sounds(tmp_path / "b", ["1.wav", "2.wav"])
    with pytest.raises(InputError, match="needed are 3"):
        load_dataset(tmp_path)


LABELS = ("a", "b")
clips = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 30)), min_size=1, max_size=80)


@given(clips)
def test_splits_share_neither_fold_nor_recording(drawn):
    """Whatever the clips, test, validation and training folds are disjoint, and so are their recordings."""
    made = tuple(Clip(Path(f"{i}.wav"), label, f"r{number}", number % 5) for i, (label, number) in enumerate(drawn))
    dataset = Dataset("drawn", LABELS, made, "")
    for test, validation, train in splits(dataset):
        parts = [{test}, {validation}, set(train)]
        recordings = [{clip.recording for clip in made if clip.fold in part} for part in parts]
        for left, right in ((0, 1), (0, 2), (1, 2)):
            assert not parts[left] & parts[right]
            assert not recordings[left] & recordings[right]


@given(st.integers(3, 40), st.integers(0, 1000))
def test_dealt_recordings_stay_together_and_even(count, seed):
    """Every draw keeps a recording in one fold, and folds differ by one recording at most."""
    from random import Random

    folds = deal({f"r{i}" for i in range(count)}, (1, 3, 10), Random(seed))
    sizes = [list(folds.values()).count(fold) for fold in (1, 3, 10)]
    assert len(folds) == count
    assert max(sizes) - min(sizes) <= 1


def test_a_random_split_says_that_it_leaks(urbansound8k, negatives):
    """Clips are dealt evenly and reproducibly, with no regard for their recordings; the dataset knows that it leaks."""
    dataset = load_dataset(urbansound8k, [negatives])
    split = split_at_random(dataset, 0)
    assert (dataset.leaks, split.leaks) == (False, True)
    assert split == split_at_random(dataset, 0)
    assert split.judged_folds == (1, 2, 3, 4, 5)
    folds_of: dict[str, set[int]] = {}
    for clip in split.clips:
        folds_of.setdefault(clip.recording, set()).add(clip.fold)
    assert any(len(folds) > 1 for folds in folds_of.values())


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
def test_names_tell_which_files_are_one_recording(names, recordings):
    """Parts of a recording are told from numbered recordings, and from times, by the end of the name."""
    folder = Path("frog")
    assert len({recording(folder / f"{name}.wav", folder) for name in names}) == recordings


def own_sounds(folder: Path, *labels: str, count: int = 20) -> Path:
    for label in labels:
        touch_sounds(folder / label, [f"{label}_{number}.wav" for number in range(count)])
    return folder


def test_few_clips_and_files_that_are_no_sound_warn(tmp_path):
    """Under 20 clips a class warns, and so do files that a phone made and nobody can read; enough clips are silent."""
    data = own_sounds(tmp_path, "frog", "owl")
    assert load_dataset(data).warnings == ()
    (data / "owl" / "owl_0.wav").rename(data / "owl" / "owl_0.m4a")
    few, left_out = load_dataset(data).warnings
    assert few.startswith("owl: 19 clips are few")
    assert "1 .m4a" in left_out


def test_unreadable_own_sounds_are_refused_all_at_once(tmp_path):
    """Text named .wav, an empty file and a sound of no length: one line names them all, before anything is computed."""
    data = own_sounds(tmp_path, "frog", "owl")
    (data / "frog" / "text.wav").write_text("not sound")
    (data / "frog" / "empty.flac").write_bytes(b"")
    soundfile.write(data / "owl" / "none.wav", np.zeros(0), 8000)
    with pytest.raises(InputError) as caught:
        load_dataset(data)
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value) for name in ("text.wav", "empty.flac", "none.wav", "Replace or remove"))


@pytest.mark.parametrize("name", ["unknown", "a+b", "c#"])
def test_folders_that_cannot_name_a_class_are_refused(tmp_path, name):
    """A label becomes an MQTT topic, and `unknown` is none: better said now than when the bundle is exported."""
    with pytest.raises(InputError, match="--negatives"):
        load_dataset(own_sounds(tmp_path, "frog", name))


def test_one_class_is_refused(tmp_path):
    """There is nothing to tell it from."""
    with pytest.raises(InputError, match="Add one"):
        load_dataset(own_sounds(tmp_path, "frog"))


def test_own_classes_on_top_of_urbansound8k(urbansound8k, tmp_path):
    """New classes join the labels, a known one gets more clips, all in the folds that are judged."""
    data = own_sounds(tmp_path, "frog", "hiss", count=6)
    dataset = load_dataset(data, base=urbansound8k)
    assert dataset.labels == ("clicks", "hiss", "tone", "frog")
    assert dataset.judged_folds == (1, 3, 10)
    count = {label: sum(clip.label == label for clip in dataset.clips) for label in dataset.labels}
    assert count == {"clicks": 18, "hiss": 24, "tone": 18, "frog": 6}
    assert dataset.found.startswith("54 of the table's 55")
    assert "frog (6 of 6 recordings)" in dataset.found
    assert dataset.warnings[0].startswith("frog: 6 clips are few")


def test_a_class_with_too_few_recordings_is_told(tmp_path):
    """Thirty cuts of two recordings cannot be trained, chosen and tested on: the line says how many there are."""
    data = own_sounds(tmp_path, "frog")
    touch_sounds(data / "owl", [f"REC{n % 2}_{n}.wav" for n in range(30)])
    with pytest.raises(InputError, match=r"owl \(30 of 2 recordings\)"):
        load_dataset(data)
