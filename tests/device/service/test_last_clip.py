"""Tests of the topic of the last clip."""

import json

import numpy as np
import pytest

from device.clips.store import ClipFolder
from device.service.last_clip import LastClip

FIRST, SECOND = "01a203db-acf5-764e-a16f-af94604912d3", "01a203db-acf5-764e-a16f-af94604912d4"


class Node:
    """Clips of a run, and the messages on `clip/last`."""

    def __init__(self, folder, enabled=True):
        self.payloads = []
        self.clips = ClipFolder(folder)
        self.last_clip = LastClip("balcony", self.clips, self.publish, enabled=enabled)

    def publish(self, name, payload):
        assert name == "clip/last"
        self.payloads.append(payload)

    def save(self, event_id, label, start_time):
        self.clips.save(event_id, start_time, label, np.zeros(16000, np.int16), 16000)
        self.last_clip.on_saved(event_id, label)

    @property
    def last(self):
        message = json.loads(self.payloads[-1])
        return message["event_id"], message["label"]


def test_the_last_clip_and_its_correction_are_published(tmp_path):
    """A clip is published with its label, then with the right one; the correction of an older clip changes nothing."""
    node = Node(tmp_path)
    assert node.last == (None, None)
    node.save(FIRST, "siren", 1000.0)
    node.save(SECOND, "dog_bark", 2000.0)
    assert node.last == (SECOND, "dog_bark")
    node.last_clip.correct(SECOND, "siren")
    assert node.last == (SECOND, "siren")
    count = len(node.payloads)
    node.last_clip.correct(FIRST, "none")
    assert len(node.payloads) == count
    assert node.clips.find(FIRST).label == "none"


def test_the_last_clip_of_an_earlier_run_can_be_corrected(tmp_path):
    """After a restart, the last clip is published with its corrected label, and can be corrected again."""
    before = Node(tmp_path)
    before.save(FIRST, "siren", 1000.0)
    before.last_clip.correct(FIRST, "owl")
    node = Node(tmp_path)
    assert node.last == (FIRST, "owl")
    node.last_clip.correct(FIRST, "none")
    assert node.last == (FIRST, "none")


def test_without_clips_nothing_is_published(tmp_path):
    """With clips disabled there is no message; a correction of an event without a clip is refused."""
    node = Node(tmp_path, enabled=False)
    with pytest.raises(LookupError, match="no clip of the event"):
        node.last_clip.correct(FIRST, "siren")
    assert node.payloads == []
