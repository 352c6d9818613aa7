"""Tests of recordings of any length: sounds by the gate, windows, constant memory."""

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from fake_bundle import make_manifest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_bundle

from device.config.models import Config
from device.model.bundle import Bundle
from device.model.clip_scoring import classify_clip
from device.model.features import FeatureConfig
from device.model.manifest import Unknown
from device.recordings import SoundClassifier, classify_windows
from device.types import WindowScores

FEATURES = FeatureConfig()
RATE, LENGTH = FEATURES.sample_rate, FEATURES.window_length
CONFIG = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None}})


def low_or_high(samples):
    """Score a window by the share of its energy below 2 kHz."""
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2 + 1e-9
    share = power[: 2000 * len(samples) // RATE].sum() / power.sum()
    return WindowScores(np.array([share, 1 - share], np.float32), np.zeros((1, 1), np.float32))


def add_tone(samples, at, seconds, frequency):
    times = np.arange(round(seconds * RATE)) / RATE
    samples[round(at * RATE) :][: len(times)] += 8000 * np.sin(2 * np.pi * frequency * times)


def street(seconds, *tones):
    """Return faint noise with tones: at, seconds, frequency."""
    samples = np.random.default_rng(0).normal(0, 3, round(seconds * RATE))
    for each in tones:
        add_tone(samples, *each)
    return samples.astype(np.int16)


def sounds_of(samples, config=CONFIG, part=8000, classify=low_or_high):
    parts = (samples[start : start + part] for start in range(0, len(samples), part))
    return list(SoundClassifier(config, make_bundle(FEATURES), classify).sounds(parts))


def test_each_sound_of_a_recording_has_its_own_scores():
    """A recording of two sounds has two answers, with their times, in place of one mean."""
    first, second = sounds_of(street(30, (5, 1, 300), (18, 2, 5000)))
    assert (first.start / RATE, first.end / RATE) == (pytest.approx(5, abs=0.2), pytest.approx(6, abs=0.2))
    assert (second.start / RATE, second.end / RATE) == (pytest.approx(18, abs=0.2), pytest.approx(20, abs=0.2))
    assert first.scores[0] > 0.9
    assert second.scores[1] > 0.9
    assert first.gate == second.gate == "level"


def test_a_quiet_recording_has_no_sound():
    """A recording that never opens the gate has no answer. A probe that finds `unknown` is none either."""
    probing = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": 5}})
    assert sounds_of(street(40)) == []
    assert {sound.gate for sound in sounds_of(street(40), probing)} == {"probe"}
    manifest = make_manifest(FEATURES).upgraded().model_copy(update={"unknown": Unknown(output=True, min_confidence=1)})
    parts = [street(40)]
    assert list(SoundClassifier(probing, Bundle(Path(), manifest), low_or_high).sounds(parts)) == []


def test_a_sound_at_the_end_is_classified():
    """A sound that lasts until the end of the recording has an answer, which ends there."""
    (sound,) = sounds_of(street(12, (10.5, 1.5, 300)))
    assert sound.end == pytest.approx(12 * RATE, abs=480)
    assert sound.scores[0] > 0.9


def test_a_very_long_sound_is_divided():
    """A sound longer than the longest event has several answers, without a gap between them."""
    config = Config.model_validate(
        {"gate": {"vad_mode": None, "probe_seconds": None, "learn_seconds": 60}, "events": {"maximum_seconds": 10}}
    )
    sounds = sounds_of(street(40, (5, 30, 300)), config)
    assert len(sounds) >= 3
    assert all(before.end == after.start for before, after in itertools.pairwise(sounds))
    assert sounds[-1].end == pytest.approx(35 * RATE, abs=RATE)


@settings(max_examples=12)
@given(part=st.integers(100, 40000))
def test_the_parts_in_which_a_recording_arrives_change_nothing(part):
    """Any size of the parts gives the same sounds and windows."""
    samples = street(8, (3, 1, 300))
    assert [(each.start, each.end) for each in sounds_of(samples, part=part)] == [
        (each.start, each.end) for each in sounds_of(samples)
    ]
    parts = [samples[start : start + part] for start in range(0, len(samples), part)]
    windows = list(classify_windows(parts, LENGTH, low_or_high))
    assert [(each.start, each.end) for each in windows] == [(0, 3 * RATE), (3 * RATE, 6 * RATE), (5 * RATE, 8 * RATE)]


@given(length=st.integers(1, 4 * LENGTH))
def test_windows_cover_a_recording(length):
    """The windows of a recording cover each sample, and end with it; a short one is one window, as of a clip."""
    samples = np.arange(length, dtype=np.int64).astype(np.int16)
    windows = list(classify_windows([samples], LENGTH, low_or_high))
    assert windows[0].start == 0
    assert windows[-1].end == length
    assert all(before.end >= after.start > before.start for before, after in itertools.pairwise(windows))
    if length <= LENGTH:
        (only,) = windows
        np.testing.assert_array_equal(only.scores, classify_clip(samples, LENGTH, low_or_high)[0])


def test_memory_is_constant():
    """Four minutes of sound take as much memory as one."""

    def peak_bytes(minutes):
        def parts():
            quiet, loud = street(5), street(5, (1, 2, 300))
            for number in range(12 * minutes):
                yield loud if number % 2 else quiet

        tracemalloc.start()
        try:
            sounds = SoundClassifier(CONFIG, make_bundle(FEATURES), low_or_high).sounds(parts())
            assert sum(1 for _ in sounds) > 4 * minutes
            windows = classify_windows(parts(), LENGTH, low_or_high)
            assert sum(1 for _ in windows) == 20 * minutes
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak_bytes(4) < peak_bytes(1) + 200_000
