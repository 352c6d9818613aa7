"""The dataset of the folders that a user names."""

import shutil

import pytest

from device.errors import InputError
from device.types import UNKNOWN
from training.data.loading import load_dataset


def test_negatives_leave_out_folders_named_like_a_label(urbansound8k, negatives):
    """ESC-10's dog_bark is not a negative of a network with the label dog_bark."""
    dataset = load_dataset(urbansound8k, [negatives])
    others = [clip for clip in dataset.clips if clip.label == UNKNOWN]
    assert len(others) == 9
    assert {clip.fold for clip in others} == {1, 3, 10}


@pytest.mark.parametrize("what", ["absent", "empty", "no columns", "no clips", "not text"])
def test_unusable_data_is_one_clear_line(tmp_path, what):
    """Each fault is one line with the path and the cure."""
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


def test_too_few_folds_are_refused(tmp_path, write_silence):
    """Two folds are refused: validation needs a third."""
    write_silence(tmp_path / "a", ["1.wav", "2.wav"])
    write_silence(tmp_path / "b", ["1.wav", "2.wav"])
    with pytest.raises(InputError, match="needed are 3"):
        load_dataset(tmp_path)


def test_one_class_is_refused(tmp_path, make_class_folders):
    """A single class is refused, because a network needs two labels."""
    with pytest.raises(InputError, match="Add one"):
        load_dataset(make_class_folders(tmp_path, "frog"))


def test_a_class_with_too_few_recordings_is_refused(tmp_path, write_silence, make_class_folders):
    """Thirty cuts of two recordings are refused, with the numbers of clips and recordings."""
    data = make_class_folders(tmp_path, "frog")
    write_silence(data / "owl", [f"REC{n % 2}_{n}.wav" for n in range(30)])
    with pytest.raises(InputError, match=r"owl \(30 of 2 recordings\)"):
        load_dataset(data)


def test_one_sound_with_two_labels_is_refused(tmp_path, make_class_folders, write_silence):
    """The same bytes in two class folders, or in one and among the negatives, are an error that names both files."""
    data = make_class_folders(tmp_path / "data", "frog", "owl")
    negatives = tmp_path / "negatives"
    write_silence(negatives, [f"other_{number}.wav" for number in range(6)])
    shutil.copy(data / "frog" / "frog_3.wav", negatives / "copy.wav")
    with pytest.raises(
        InputError, match=r"the same sound has two labels: \S*frog_3\.wav is frog, \S*copy.wav is unknown"
    ):
        load_dataset(data, [negatives])
    shutil.copy(data / "frog" / "frog_3.wav", data / "owl" / "hoot.wav")
    with pytest.raises(InputError, match=r"frog_3\.wav is frog, \S*hoot\.wav is owl"):
        load_dataset(data)


def test_one_sound_in_two_folds_is_a_warning(tmp_path, make_class_folders):
    """Copies of a file that are in different folds are named, because training and test share them."""
    data = make_class_folders(tmp_path, "frog", "owl")
    for number in range(9):
        shutil.copy(data / "frog" / "frog_3.wav", data / "frog" / f"frog ({number}).wav")
    warnings = load_dataset(data).warnings
    assert 1 <= len(warnings) <= 9
    assert all("the same sound as" in warning for warning in warnings)


def test_negatives_of_a_recording_of_the_dataset_are_in_its_fold(urbansound8k, tmp_path, write_silence):
    """A negative that was cut from a recording of the dataset is left out together with it."""
    write_silence(tmp_path, ["1000-9-7-0.wav", "3000-9-7-0.wav", "10000-9-7-0.wav", "a.wav", "b.wav"])
    dataset = load_dataset(urbansound8k, [tmp_path])
    fold_of = {clip.recording: clip.fold for clip in dataset.clips}
    for recording in ("1000", "3000", "10000"):
        assert fold_of[f"{tmp_path.name}/{recording}"] == fold_of[recording]


def test_hidden_files_and_folders_are_skipped(tmp_path, make_class_folders, write_silence):
    """Files in hidden folders, such as a bin's, are neither clips nor negatives."""
    data = make_class_folders(tmp_path, "frog", "owl")
    write_silence(data, ["frog/.Trash/old.wav", "frog/._frog_1.wav", ".cache/x.wav"])
    dataset = load_dataset(data)
    assert len(dataset.clips) == 40
    assert dataset.warnings == ()
