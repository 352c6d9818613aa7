"""Tests of the clip folder."""

import time

import numpy as np
import pytest
import soundfile
from uuid6 import uuid7

from device.clips.store import ClipFolder
from device.config.models import ClipsConfig
from device.errors import InputError
from training.data.loading import load_dataset

NOISE = np.random.default_rng(0).integers(-9999, 9999, 16000).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    """Return an empty clip folder."""
    return ClipFolder(tmp_path / "clips")


def save_clip(folder, label="siren", start_time=None, samples=NOISE):
    """Save a clip of noise, and return its event id."""
    event_id = str(uuid7())
    folder.save(event_id, time.time() if start_time is None else start_time, label, samples, 16000)
    return event_id


def test_a_clip_is_stored_without_loss(folder):
    """FLAC returns each sample; label, event id and start time are in the clip's path."""
    event_id = save_clip(folder, start_time=1795590000)
    (clip,) = folder.clips()
    assert (clip.event_id, clip.label, clip.start_time, clip.corrected) == (event_id, "siren", 1795590000, False)
    samples, rate = soundfile.read(clip.path, dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(samples, NOISE)


def test_a_clip_can_be_relabeled_repeatedly(folder):
    """A clip moves to the folder of its right label, and then to another; an event without a clip is an error."""
    event_id = save_clip(folder)
    for label in ("dog_bark", "none", "door bell"):
        folder.relabel(event_id, label)
        (clip,) = folder.clips()
        assert (clip.label, clip.corrected) == (label, True)
    with pytest.raises(LookupError, match="no clip of the event"):
        folder.relabel(str(uuid7()), "siren")


def test_the_trainer_loads_the_corrected_clips(folder):
    """The corrected clips are a dataset with one folder a class, and the folder `none` contains its negatives."""
    for label in ("siren", "dog_bark", "none"):
        for _ in range(5):
            noise = np.random.default_rng().integers(-9999, 9999, 16000).astype(np.int16)
            folder.relabel(save_clip(folder, samples=noise), label)
    save_clip(folder)
    dataset = load_dataset(folder.folder / "corrected", [folder.folder / "none"])
    assert dataset.labels == ("dog_bark", "siren")
    assert sorted(clip.label for clip in dataset.clips) == ["dog_bark"] * 5 + ["siren"] * 5 + ["unknown"] * 5


@pytest.mark.parametrize(
    ("config", "remaining"),
    [
        ({"maximum_count": 3}, 3),
        ({"maximum_megabytes": 0.1}, 2),  # 32 kB each: three clips, one of them corrected
        ({"maximum_days": 2.5}, 2),
        ({}, 6),
    ],
)
def test_the_folder_is_limited(folder, config, remaining):
    """The oldest recent clips are deleted by number, size and age; corrected clips remain."""
    now = time.time()
    corrected = save_clip(folder, start_time=now - 90 * 86400)
    folder.relabel(corrected, "siren")
    ids = [save_clip(folder, start_time=now - (age + 0.9) * 86400) for age in range(5, -1, -1)]
    folder.enforce_limits(ClipsConfig(**config))
    assert [clip.event_id for clip in folder.clips()] == [corrected, *ids[-remaining:]]


def test_an_export_without_corrected_clips_is_an_error(folder, tmp_path):
    """The error names the folder and the command that corrects labels."""
    save_clip(folder)
    with pytest.raises(InputError, match="no clip was corrected yet"):
        folder.export(tmp_path / "out")


def test_a_folder_that_cannot_be_created_is_an_error(folder, tmp_path):
    """The OSError names the file."""
    (tmp_path / "clips").write_text("a file in place of the folder")
    with pytest.raises(OSError, match="clips"):
        save_clip(folder)
