import logging

import numpy as np
import pytest
import soundfile

from device.clips.recorder import Recorder
from device.clips.speech_filter import has_voice
from device.clips.store import ClipFolder
from device.config.models import ClipsConfig
from device.model.features import FeatureConfig
from device.types import ClassifiedWindow, Event

RATE = 16000
STARTED = 1795590000.0
FEATURES = FeatureConfig()
LABELS = ("siren", "children_playing")
EVENT_ID = "01a203db-acf5-764e-a16f-af94604912d3"
SOUND = np.random.default_rng(0).integers(-9999, 9999, 40 * RATE).astype(np.int16)
"""Noise: in it each sample tells where it was."""


def voice(seconds):
    """Vowels as webrtcvad takes them for: pulses of 120 Hz through two formants, four syllables a second."""
    times = np.arange(round(seconds * RATE)) / RATE
    pulses = (np.diff(np.floor(120 * times), prepend=0) > 0).astype(float)
    formants = [np.exp(-times[:800] * 200) * np.sin(2 * np.pi * f * times[:800]) for f in (700, 1200)]
    sound = sum(np.convolve(pulses, formant)[: len(times)] for formant in formants)
    return (12000 * sound / np.abs(sound).max() * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))).astype(np.int16)


class Node:
    """A recorder that is shown windows of a sound, one a second, as the pipeline does."""

    def __init__(self, folder, sound=SOUND, **config):
        self.folder = ClipFolder(folder / "clips")
        config = ClipsConfig(enabled=True, **config)
        self.recorder = Recorder(config, self.folder, FEATURES, LABELS, unknown_output=True)
        self.sound = sound

    def look(self, *starts, scores=(0.95, 0.01)):
        for start in starts:
            position = round(start * RATE)
            samples = self.sound[max(position, 0) : position + 3 * RATE]
            samples = np.pad(samples, (3 * RATE - len(samples), 0))
            log_mel = np.zeros(FEATURES.shape, np.float32)
            look = ClassifiedWindow(position, STARTED + start, samples, log_mel, np.array(scores, np.float32))
            self.recorder.on_window(look)

    def hear(self, start, end):
        event = Event("start", EVENT_ID, "siren", 0.9, {}, STARTED + start, None, -20.0, "level")
        self.recorder.on_event(event)
        assert self.folder.clips() == []
        self.recorder.on_event(Event("end", EVENT_ID, "siren", 0.9, {}, STARTED + start, STARTED + end, -20.0, "level"))

    def kept(self):
        """Seconds from where to where the clip was cut; None where there is none."""
        if not self.folder.clips():
            return None
        samples, _ = soundfile.read(self.folder.clips()[0].path, dtype="int16")
        begin = next(at for at in range(len(self.sound)) if (self.sound[at : at + 50] == samples[:50]).all())
        np.testing.assert_array_equal(samples, self.sound[begin : begin + len(samples)])
        return begin / RATE, (begin + len(samples)) / RATE


@pytest.mark.parametrize(
    ("looks", "event", "clip"),
    [
        ((4.5, 5.5, 6.5), (5, 8.5), (5, 8.5)),
        ((4.5, 5.5), (5, 5.4), (5, 8)),  # a short one with what follows
        ((4.5,), (6.5, 7), (4.5, 7.5)),  # or with what came before, where nothing more was looked at
        ((-0.5, 0.5, 1.5), (0, 4), (0, 4)),  # the stream's first window starts before the stream
        (tuple(range(4, 34)), (5, 35), (25, 35)),  # the last ten seconds of a long one
        ((1, 20.25, 21.25), (20.75, 24), (20.75, 24)),  # after a pause in which nothing was looked at
        ((4.5, 5.5, 6.5, 7.5, 8.5), (5, 8), (5, 8)),  # its end is known when more was heard
    ],
)
def test_the_clip_is_the_event(tmp_path, looks, event, clip):
    """From onset to end, sample by sample, as the windows had them."""
    node = Node(tmp_path, voice_labels=())
    node.look(*looks)
    node.hear(*event)
    assert node.kept() == clip


@pytest.mark.parametrize(
    ("sound", "scores", "config", "is_kept"),
    [
        (voice(20), (0.5, 0.4), {}, False),
        (voice(20), (0.5, 0.0), {}, False),  # half of it is nothing that the network knows
        (voice(20), (0.99, 0.0), {}, True),  # surely a siren, which webrtcvad takes for a voice
        (SOUND[: 20 * RATE] // 8, (0.5, 0.4), {}, True),  # children, but nobody speaks
        (voice(20), (0.5, 0.4), {"keep_speech": True}, True),
        (voice(20), (0.5, 0.49), {"voice_labels": ("siren",)}, False),
    ],
)
def test_speech_is_not_kept_unless_asked(tmp_path, caplog, sound, scores, config, is_kept):
    """Where the scores leave room for a voice, webrtcvad decides; the log says what was not kept."""
    node = Node(tmp_path, sound, **config)
    with caplog.at_level(logging.INFO):
        node.look(4.5, 5.5, scores=scores)
        node.hear(5, 8)
    assert bool(node.folder.clips()) == is_kept
    assert ("it may contain speech" in caplog.text) != is_kept


def test_one_window_with_a_voice_is_enough(tmp_path):
    """A voice in any window that reaches into the clip counts, one in a window before it does not."""
    node = Node(tmp_path, voice(20))
    node.look(0.5, scores=(0.1, 0.9))
    node.look(4.5, 5.5, 6.5)
    node.hear(5, 8)
    assert node.folder.clips()
    node.folder.purge(corrected=True)
    node.look(7.5, scores=(0.1, 0.9))
    node.hear(5, 8)
    assert node.folder.clips() == []


def test_webrtcvad_hears_a_voice_in_vowels_and_none_in_silence():
    """The test's voice is one; quiet and short sounds are not."""
    assert has_voice(voice(2), RATE)
    assert not has_voice(np.zeros(2 * RATE, np.int16), RATE)
    assert not has_voice(voice(2)[:1000], RATE)


def test_a_full_disk_is_told_and_detection_goes_on(tmp_path, caplog):
    """A clip that cannot be written is one warning."""
    node = Node(tmp_path)
    (tmp_path / "clips").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        node.look(4.5, 5.5)
        node.hear(5, 8)
    assert "clips cannot be kept" in caplog.text
