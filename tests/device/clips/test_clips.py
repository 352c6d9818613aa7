import time

import numpy as np
import pytest
import soundfile
from uuid6 import uuid7

from device.cli.main import main
from device.clips.store import ClipFolder
from device.config.models import ClipsConfig
from device.errors import InputError
from training.data.loading import load_dataset

NOISE = np.random.default_rng(0).integers(-9999, 9999, 16000).astype(np.int16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The clips of a node whose state lies in tmp_path; `earshot clips` finds them there."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return ClipFolder(tmp_path / "clips")


def keep(folder, label="siren", start_time=None, samples=NOISE):
    event_id = str(uuid7())
    folder.keep(event_id, time.time() if start_time is None else start_time, label, samples, 16000)
    return event_id


def test_a_clip_is_kept_as_it_was_heard(folder):
    """FLAC gives back each sample; label, event and time are in its path."""
    event_id = keep(folder, start_time=1795590000)
    (clip,) = folder.clips()
    assert (clip.event_id, clip.label, clip.time, clip.corrected) == (event_id, "siren", 1795590000, False)
    samples, rate = soundfile.read(clip.path, dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(samples, NOISE)


def test_a_correction_can_be_corrected(folder):
    """A clip moves to the folder of its right label, and on to another; an event without a clip is told."""
    event_id = keep(folder)
    for label in ("dog_bark", "none", "door bell"):
        folder.correct(event_id, label)
        (clip,) = folder.clips()
        assert (clip.label, clip.corrected) == (label, True)
    with pytest.raises(LookupError, match="no clip of the event"):
        folder.correct(str(uuid7()), "siren")


def test_the_trainer_takes_the_folder_as_it_is(folder):
    """What was corrected is a dataset of one folder a class, and `none` its negatives."""
    for label in ("siren", "dog_bark", "none"):
        for _ in range(5):
            folder.correct(keep(folder), label)
    keep(folder)
    dataset = load_dataset(folder.folder / "corrected", [folder.folder / "none"])
    assert dataset.labels == ("dog_bark", "siren")
    assert sorted(clip.label for clip in dataset.clips) == ["dog_bark"] * 5 + ["siren"] * 5 + ["unknown"] * 5


@pytest.mark.parametrize(
    ("config", "left"),
    [
        ({"maximum_count": 3}, 3),
        ({"maximum_megabytes": 0.1}, 2),  # of 32 kB each, three with the corrected one
        ({"maximum_days": 2.5}, 2),
        ({}, 6),
    ],
)
def test_the_folder_is_bounded(folder, config, left):
    """The oldest go first, by number, size and age; what was corrected stays."""
    now = time.time()
    corrected = keep(folder, start_time=now - 90 * 86400)
    folder.correct(corrected, "siren")
    ids = [keep(folder, start_time=now - (age + 0.9) * 86400) for age in range(5, -1, -1)]
    folder.bound(ClipsConfig(**config))
    assert [clip.event_id for clip in folder.clips()] == [corrected, *ids[-left:]]


def test_clips_are_listed_exported_and_purged(folder, tmp_path, capsys):
    """`earshot clips`: a line a clip, corrected ones copied for the trainer, the others deleted."""
    right, wrong = keep(folder), keep(folder)
    folder.correct(right, "dog_bark")
    assert main(["clips", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2:4] for line in lines if right in line] == [["corrected", "dog_bark"]]
    assert [line.split()[2:4] for line in lines if wrong in line] == [["heard", "siren"]]
    assert main(["clips", "export", str(tmp_path / "out")]) == 0
    assert f"--data {tmp_path / 'out' / 'corrected'}" in capsys.readouterr().out
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.flac")] == ["dog_bark"]
    assert main(["clips", "purge"]) == 0
    assert [clip.event_id for clip in folder.clips()] == [right]
    assert main(["clips", "purge", "--corrected"]) == 0
    assert folder.clips() == []


def test_what_is_not_there_is_told(folder, tmp_path, capsys):
    """No clip to play or to export: one clear line, exit code 2; an empty folder lists nothing."""
    assert main(["clips", "list", "--json"]) == 0
    assert main(["clips", "play", "123"]) == 2
    assert "0 clips have such an event id" in capsys.readouterr().err
    with pytest.raises(InputError, match="no clip was corrected yet"):
        folder.export(tmp_path / "out")


def test_a_disk_that_takes_no_clip_leaves_none_behind(folder, tmp_path):
    """A folder that cannot be made is an OSError that names the file."""
    (tmp_path / "clips").write_text("in the way")
    with pytest.raises(OSError, match="clips"):
        keep(folder)


def test_a_clip_is_played(sound_server, folder, monkeypatch):
    """`earshot clips play` with the end of its event id plays it on the loudspeaker."""
    for key, value in sound_server.environment.items():
        monkeypatch.setenv(key, value)
    assert main(["clips", "play", keep(folder)[-6:]]) == 0
