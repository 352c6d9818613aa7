"""Tests of lessons by MQTT, with the shipped bundle and kept clips."""

from pathlib import Path

import pytest
from taught_sounds import RATE, beeps

from device.clips.store import ClipFolder
from device.errors import InputError
from device.model.bundle import load_bundle
from device.service.remote_teaching import RemoteTeaching
from device.teaching.library import open_taught

BUNDLE = load_bundle(Path(__file__).resolve().parents[3] / "models" / "urbansound8k-light")
IDS = [f"01a203db-acf5-764e-a16f-{number:012d}" for number in range(3)]


def test_a_label_is_taught_from_the_clips_of_events(tmp_path):
    """The label is stored for the next run; refusals are reported until a lesson succeeds."""
    folder = ClipFolder(tmp_path / "clips")
    teaching = RemoteTeaching(tmp_path, BUNDLE, folder, open_taught(tmp_path, BUNDLE), ())
    with pytest.raises(LookupError):
        teaching.teach("timer", IDS, is_exclusion=False)
    assert teaching.report()["last_refusal"].startswith("no clip of the event 01a203db")
    for number, event_id in enumerate(IDS):
        folder.save(event_id, 1000.0 + number, "siren", beeps(number), RATE)
    with pytest.raises(InputError, match="2 clips are too few"):
        teaching.teach("timer", IDS[:2], is_exclusion=False)
    teaching.teach("timer", IDS, is_exclusion=False)
    assert teaching.report() == {"labels": [], "exclusions": [], "faults": [], "last_refusal": None}
    again = RemoteTeaching(tmp_path, BUNDLE, folder, open_taught(tmp_path, BUNDLE), ())
    assert again.report()["labels"] == ["timer"]
    again.forget("timer")
    assert not open_taught(tmp_path, BUNDLE).labels


def test_the_name_of_a_configured_audioset_class_is_refused(tmp_path):
    """A label that equals the slug of a class of events.audioset is refused with the class, before a clip is read."""
    folder = ClipFolder(tmp_path / "clips")
    folder.save(IDS[0], 1000.0, "siren", beeps(0), RATE)
    classes = ["Siren", "Smoke detector, smoke alarm"]
    teaching = RemoteTeaching(tmp_path, BUNDLE, folder, open_taught(tmp_path, BUNDLE), classes)
    for label, name in (("smoke_detector_smoke_alarm", "Smoke detector, smoke alarm"), ("audioset_siren", "Siren")):
        with pytest.raises(InputError, match=rf"{label}: events.audioset has this class already \({name}\)"):
            teaching.teach(label, IDS[:1], is_exclusion=False)
        assert name in teaching.report()["last_refusal"]
