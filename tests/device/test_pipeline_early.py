"""Tests of early looks in the pipeline."""

import numpy as np
import pytest
from fake_bundle import score_log_mel
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_bundle
from tones import FEATURES, RATE, blocks_of, low_or_high, street_of_tones, tone, without_ids

from device.config.models import Config
from device.pipeline import Pipeline
from device.service.observers import Observers
from device.types import Observer, WindowScores

SETTINGS = {"gate": {"vad_mode": None, "probe_seconds": None}}
EARLY, LATE = (
    Config.model_validate({**SETTINGS, "events": {"early_answer": early, "cooldown_seconds": 0}})
    for early in (True, False)
)


class Recorder(Observer):
    """Observer that keeps the extents of looks and windows."""

    def __init__(self):
        self.looks, self.windows = [], []

    def on_look(self, look):
        self.looks.append((look.start, look.samples.tobytes()))

    def on_window(self, window):
        self.windows.append((window.start, window.samples.tobytes()))


def run(samples, config=EARLY, network=low_or_high, lengths=(20 * RATE,), **options):
    """Return events with the position up to which sound was delivered at each, and the recorder."""
    recorder, delivered, events = Recorder(), [0], []

    def source():
        for block in blocks_of(samples, lengths):
            delivered[0] = block.end
            yield block

    classify = score_log_mel(FEATURES, network)
    for event in Pipeline(config, make_bundle(FEATURES), classify, Observers(recorder), **options).run(source()):
        events.append((event, delivered[0] / RATE))
    return events, recorder


def test_a_sure_start_follows_its_onset_by_a_second():
    """With early looks a sure sound starts 1 s after its onset instead of 2.5 s; its messages are the same."""
    early, late = (run(street_of_tones(), config) for config in (EARLY, LATE))
    assert without_ids(event for event, _ in early[0]) == without_ids(event for event, _ in late[0])
    delays = [
        [at - (event.start_time - 1000) for event, at in events if event.type == "start"] for events, _ in (early, late)
    ]
    assert delays[0] == pytest.approx([1.0, 1.0], abs=0.05)
    assert delays[1] == pytest.approx([2.5, 2.5], abs=0.05)
    assert early[1].windows == late[1].windows
    assert late[1].looks == []


def test_a_sound_has_no_look_after_its_start():
    """The look at 2 s is classified only where the look at 1 s was not sure."""
    _, sure = run(street_of_tones())
    _, unsure = run(street_of_tones(), network=lambda _: np.array([0.6, 0.4], np.float32))
    assert (len(sure.looks), len(unsure.looks)) == (2, 4)


def test_a_look_repeats_the_sound_so_far():
    """A look is the pre-roll and the sound so far, again and again to the length of a window: no silence is added."""
    _, recorder = run(street_of_tones())
    start, samples = recorder.looks[0]
    look, (full_start, full) = np.frombuffer(samples, np.int16), recorder.windows[0]
    assert (start, len(look)) == (full_start, FEATURES.window_length)
    half = len(look) // 2  # 0.5 s of pre-roll and 1 s of sound
    np.testing.assert_array_equal(look[:half], np.frombuffer(full, np.int16)[:half])
    np.testing.assert_array_equal(look[:half], look[half:])


def test_a_stretch_leaves_out_looks_first():
    """With load shedding no look is classified, and full windows are."""
    events, recorder = run(street_of_tones(), stretch=lambda: 1.1)
    assert recorder.looks == []
    assert [event.type for event, _ in events] == ["start", "end"] * 2


def test_a_source_that_ends_after_an_early_start_ends_its_event():
    """Sound that ends 1.5 s after an onset has one start and one end with one id."""
    (start, _), (end, _) = run(street_of_tones()[: round(6.5 * RATE)])[0]
    assert (start.type, end.type, start.event_id) == ("start", "end", end.event_id)


def changing(log_mel):
    """Classify the first second of a sound as low, and its full windows as high: by the frames that are quiet."""
    quiet = (log_mel.max(axis=0) < 0).mean()
    return np.array([0.99, 0.0] if quiet > 0.25 else [0.0, 0.99], np.float32)


def test_a_full_window_that_disagrees_ends_the_event():
    """The early event ends after a second under its own label, and the event of the full windows follows."""
    samples = np.random.default_rng(0).normal(0, 3, 15 * RATE)
    samples[5 * RATE : 10 * RATE] += tone(300, 5)
    events, _ = run(samples.astype(np.int16), network=changing)
    assert [(event.type, event.label) for event, _ in events][:3] == [
        ("start", "low"),
        ("end", "low"),
        ("start", "high"),
    ]
    (start, _), (end, _), (high, _) = events[:3]
    assert end.end_time - start.start_time == pytest.approx(1.0, abs=0.05)
    assert high.start_time == start.start_time


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(16, 1600), min_size=1, max_size=5))
def test_chunk_lengths_change_no_look(lengths):
    """Sound that arrives in chunks of 1 to 100 ms has the same looks, windows and events as in one piece."""
    whole, cut = (run(street_of_tones(), network=changing, lengths=each) for each in ((20 * RATE,), lengths))
    assert without_ids(event for event, _ in whole[0]) == without_ids(event for event, _ in cut[0])
    assert [at for _, at in whole[0]] == [at for _, at in cut[0]]
    assert (whole[1].looks, whole[1].windows) == (cut[1].looks, cut[1].windows)


def test_looks_may_have_a_classifier_of_their_own():
    """Looks are classified by `classify_look` where it is given, and full windows never are."""
    looks = []

    def classify_look(samples):
        looks.append(samples.tobytes())
        return WindowScores(np.array([0.5, 0.5], np.float32), np.zeros((8, 4), np.float32))

    events, recorder = run(street_of_tones(), classify_look=classify_look)
    assert looks == [samples for _, samples in recorder.looks]
    assert len(looks) == 4
    assert [at - (event.start_time - 1000) for event, at in events][::2] == pytest.approx([2.5, 2.5], abs=0.05)
