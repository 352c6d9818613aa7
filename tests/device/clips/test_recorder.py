"""Tests of the recorder of clips."""

import dataclasses
import logging

import numpy as np
import pytest
import soundfile
from support import synthetic_voice

from device.clips.recorder import Recorder
from device.clips.store import ClipFolder
from device.config.models import ClipsConfig
from device.model.features import FeatureConfig
from device.types import ClassifiedWindow, Event

RATE = 16000
STREAM_TIME = 1795590000.0
FEATURES = FeatureConfig()
LABELS = ("siren", "children_playing")
EVENT_ID = "01a203db-acf5-764e-a16f-af94604912d3"
SOUND = np.random.default_rng(0).integers(-9999, 9999, 40 * RATE).astype(np.int16)
"""Noise: a few of its samples identify a position."""


class RecorderHarness:
    """Recorder that receives windows and events of a sound, as the pipeline sends them."""

    def __init__(self, folder, sound=SOUND, **config):
        self.folder = ClipFolder(folder / "clips")
        config = ClipsConfig(enabled=True, **config)
        self.saved = []
        self.recorder = Recorder(
            config, self.folder, FEATURES, LABELS, unknown_output=True, on_saved=lambda *clip: self.saved.append(clip)
        )
        self.sound = sound

    def classify(self, *starts, scores=(0.95, 0.01)):
        """Send a window for each start, s."""
        for start in starts:
            position = round(start * RATE)
            samples = self.sound[max(position, 0) : position + 3 * RATE]
            samples = np.pad(samples, (3 * RATE - len(samples), 0))
            log_mel = np.zeros(FEATURES.shape, np.float32)
            window = ClassifiedWindow(position, STREAM_TIME + start, samples, log_mel, np.array(scores, np.float32))
            self.recorder.on_window(window)

    def send_event(self, start, end, label="siren", **name):
        """Send the start and the end of an event, s; a clip is written at its end only."""
        event = Event("start", EVENT_ID, label, 0.9, {}, STREAM_TIME + start, None, -20.0, "level", **name)
        self.recorder.on_event(event)
        assert self.folder.clips() == []
        self.recorder.on_event(dataclasses.replace(event, type="end", end_time=STREAM_TIME + end))

    def clip_extent(self):
        """Return start and end of the clip within the sound, s; None without a clip."""
        if not self.folder.clips():
            return None
        samples, _ = soundfile.read(self.folder.clips()[0].path, dtype="int16")
        start = next(at for at in range(len(self.sound)) if (self.sound[at : at + 50] == samples[:50]).all())
        np.testing.assert_array_equal(samples, self.sound[start : start + len(samples)])
        return start / RATE, (start + len(samples)) / RATE


@pytest.mark.parametrize(
    ("windows", "event", "clip"),
    [
        ((4.5, 5.5, 6.5), (5, 8.5), (5, 8.5)),
        ((4.5, 5.5), (5, 5.4), (5, 8)),  # a short event, with the sound after it
        ((4.5,), (6.5, 7), (4.5, 7.5)),  # a short event, with the sound before it where no window follows
        ((-0.5, 0.5, 1.5), (0, 4), (0, 4)),  # the first window starts before the stream
        (tuple(range(4, 34)), (5, 35), (25, 35)),  # the last ten seconds of a long event
        ((1, 20.25, 21.25), (20.75, 24), (20.75, 24)),  # after a pause without windows
        ((4.5, 5.5, 6.5, 7.5, 8.5), (5, 8), (5, 8)),  # the end of the event arrives after later windows
        ((4.5, 36.5), (5, 6), (4.5, 7.5)),  # the end of the event arrives after a long hang-over
    ],
)
def test_the_clip_has_the_extent_of_the_event(tmp_path, windows, event, clip):
    """The clip contains the windows' samples from the onset to the end of the event."""
    harness = RecorderHarness(tmp_path, voice_labels=())
    harness.classify(*windows)
    harness.send_event(*event)
    assert harness.clip_extent() == clip


@pytest.mark.parametrize(
    ("sound", "scores", "config", "is_saved"),
    [
        (synthetic_voice(20), (0.5, 0.4), {}, False),
        (synthetic_voice(20), (0.5, 0.0), {}, False),  # `unknown` has half of the probability
        (synthetic_voice(20), (0.99, 0.0), {}, True),  # certainly a siren, although webrtcvad detects a voice
        (SOUND[: 20 * RATE] // 8, (0.5, 0.4), {}, True),  # children, although webrtcvad detects no voice
        (synthetic_voice(20), (0.5, 0.4), {"keep_speech": True}, True),
        (synthetic_voice(20), (0.5, 0.49), {"voice_labels": ("siren",)}, False),
    ],
)
def test_possible_speech_is_saved_only_on_request(tmp_path, caplog, sound, scores, config, is_saved):
    """Scores and webrtcvad must agree on possible speech; the log reports the event without a clip."""
    harness = RecorderHarness(tmp_path, sound, **config)
    with caplog.at_level(logging.INFO):
        harness.classify(4.5, 5.5, scores=scores)
        harness.send_event(5, 8)
    assert bool(harness.folder.clips()) == is_saved
    assert harness.saved == [(EVENT_ID, "siren")] * is_saved
    assert ("it may contain speech" in caplog.text) != is_saved


def test_one_window_with_a_voice_is_enough(tmp_path):
    """A voice in any window that overlaps the clip counts; one in an earlier window is ignored."""
    harness = RecorderHarness(tmp_path, synthetic_voice(20))
    harness.classify(0.5, scores=(0.1, 0.9))
    harness.classify(4.5, 5.5, 6.5)
    harness.send_event(5, 8)
    assert harness.folder.clips()
    harness.folder.delete_clips(corrected=True)
    harness.classify(7.5, scores=(0.1, 0.9))
    harness.send_event(5, 8)
    assert harness.folder.clips() == []


def test_an_unwritable_folder_is_a_warning(tmp_path, caplog):
    """A clip that cannot be written is one warning, and detection continues."""
    harness = RecorderHarness(tmp_path)
    (tmp_path / "clips").write_text("a file in place of the folder")
    with caplog.at_level(logging.WARNING):
        harness.classify(4.5, 5.5)
        harness.send_event(5, 8)
    assert "clips cannot be saved" in caplog.text


def test_the_clip_of_an_audioset_event_is_in_the_folder_of_its_slug(tmp_path):
    """Display names contain commas and spaces, so the folder has the name of the slug."""
    harness = RecorderHarness(tmp_path, keep_speech=True)
    harness.classify(0, 1, 2)
    harness.send_event(1.0, 3.0, "Smoke detector, smoke alarm", vocabulary="audioset", slug="smoke_detector")
    (clip,) = harness.folder.clips()
    assert (clip.label, clip.path.parent.name) == ("smoke_detector", "smoke_detector")
