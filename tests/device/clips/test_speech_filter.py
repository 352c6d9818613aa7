"""Tests of the speech filter."""

import numpy as np
import pytest
from support import synthetic_voice

from device.clips.speech_filter import SpeechFilter, has_voice
from device.types import ClassifiedWindow

RATE = 16000
LABELS = ("siren", "children_playing", "street_music")
SILENCE = np.zeros(3 * RATE, np.int16)
VOICE = synthetic_voice(3)


def make_filter(*windows, unknown_output=True):
    """Make a filter that has received windows of 3 s, each given by its start in s and its scores."""
    speech_filter = SpeechFilter(LABELS, ("children_playing", "street_music"), RATE, unknown_output=unknown_output)
    for start, scores in windows:
        log_mel = np.zeros((4, 4), np.float32)
        window = ClassifiedWindow(start * RATE, float(start), SILENCE, log_mel, np.array(scores, np.float32))
        speech_filter.add_window(window, oldest=0)
    return speech_filter


@pytest.mark.parametrize(
    ("scores", "unknown_output", "expected"),
    [
        ((0.95, 0.01, 0.01), True, False),
        ((0.88, 0.06, 0.06), True, True),  # labels with voices are added
        ((0.85, 0.0, 0.0), True, True),  # the missing 0.15 are the output for `unknown`
        ((0.85, 0.0, 0.0), False, False),  # without that output, the missing 0.15 are ignored
        ((0.85, 0.11, 0.0), False, True),
    ],
)
def test_the_scores_of_voices_and_unknown_count(scores, unknown_output, expected):
    """A window may contain speech from a probability of 0.1 on, for voices and `unknown` together."""
    speech_filter = make_filter((0, scores), unknown_output=unknown_output)
    assert speech_filter.may_contain_speech(VOICE, 0, 3 * RATE) is expected


def test_webrtcvad_must_agree():
    """Scores of voices alone are not enough: webrtcvad must detect a voice in the samples."""
    speech_filter = make_filter((0, (0.1, 0.9, 0.0)))
    assert speech_filter.may_contain_speech(VOICE, 0, 3 * RATE)
    assert not speech_filter.may_contain_speech(SILENCE, 0, 3 * RATE)


def test_only_overlapping_windows_count():
    """The window with a voice ends at 3 s: a clip from there on does not overlap it."""
    speech_filter = make_filter((0, (0.0, 1.0, 0.0)), (3, (1.0, 0.0, 0.0)))
    assert speech_filter.may_contain_speech(VOICE, 3 * RATE - 1, 6 * RATE)
    assert not speech_filter.may_contain_speech(VOICE, 3 * RATE, 6 * RATE)


def test_sound_without_a_window_may_contain_speech():
    """Unclassified sound counts as a voice, so webrtcvad decides alone."""
    speech_filter = make_filter((0, (1.0, 0.0, 0.0)))
    assert speech_filter.may_contain_speech(VOICE, 9 * RATE, 12 * RATE)
    assert not speech_filter.may_contain_speech(SILENCE, 9 * RATE, 12 * RATE)


def test_old_windows_are_dropped():
    """Windows that end before the oldest stored sample are forgotten, so memory is bounded."""
    speech_filter = make_filter((0, (1.0, 0.0, 0.0)))
    assert not speech_filter.may_contain_speech(VOICE, 0, 3 * RATE)
    log_mel, scores = np.zeros((4, 4), np.float32), np.array((1.0, 0.0, 0.0), np.float32)
    speech_filter.add_window(ClassifiedWindow(6 * RATE, 6.0, SILENCE, log_mel, scores), oldest=5 * RATE)
    assert speech_filter.may_contain_speech(VOICE, 0, 3 * RATE)
    assert not speech_filter.may_contain_speech(VOICE, 6 * RATE, 9 * RATE)


def test_webrtcvad_detects_a_voice_in_vowels_and_none_in_silence():
    """The synthetic voice is detected; silence, and sound shorter than 0.3 s, are not."""
    assert has_voice(synthetic_voice(2), RATE)
    assert not has_voice(np.zeros(2 * RATE, np.int16), RATE)
    assert not has_voice(synthetic_voice(2)[:1000], RATE)
