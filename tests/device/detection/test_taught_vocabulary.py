"""Tests of the event tracker with taught sounds."""

import numpy as np
from tiny_bundle import fake_bundle

from device.config.models import EventsConfig
from device.detection.event_tracker import EventTracker
from device.detection.vocabulary import ScoredWindow, event_names, make_vocabularies
from device.model.taught import Detector, TaughtSounds
from device.types import Span, Window

RATE, LENGTH, HOP = 100, 300, 100
BELL, KETTLE = np.array([1, 0, 0, 0], np.float32), np.array([0, 1, 0, 0], np.float32)


def detector(direction):
    return Detector(np.zeros(4, np.float32), np.ones(4, np.float32), 3.0 * direction, -3.0)


TAUGHT = TaughtSounds({"bell": detector(BELL)}, {"low": detector(KETTLE)})


def track(*windows, **config):
    """Track one span with a window for each pair of label scores and embedding; return events and refusals."""
    events = EventsConfig(**{"smoothing_windows": 1, "cooldown_seconds": 0, **config})
    refusals = []
    vocabularies = make_vocabularies(events, fake_bundle(), TAUGHT)
    tracker = EventTracker(
        events, vocabularies=vocabularies, sample_rate=RATE, on_refusal=refusals.append, taught=TAUGHT
    )
    span, result = Span(1000, 1000, "level", is_open=True), []
    for number, (scores, embedding) in enumerate(windows):
        start = 950 + number * HOP
        window = Window(start, start + LENGTH, span, HOP)
        scored = ScoredWindow(window, np.array(scores, np.float32), 30.0, None, embedding)
        result += tracker.update(scored, -20.0, lambda p: p / RATE)
    return [(e.type, e.label, e.vocabulary) for e in result], [(r.label, r.reason) for r in refusals]


def test_a_taught_label_is_an_event():
    """An unknown sound with a taught label above its threshold starts an event; with another sound it ends."""
    events, refusals = track(((0.05, 0.05), BELL), ((0.05, 0.05), KETTLE))
    assert events == [("start", "bell", "taught"), ("end", "bell", "taught")]
    assert ("bell", "below_threshold") not in refusals


def test_a_sound_that_was_taught_not_to_be_a_label_is_refused():
    """A label of the bundle starts no event in such a sound, and an event of it ends there."""
    assert track(((0.95, 0.01), KETTLE)) == ([], [("low", "taught_not")])
    events, refusals = track(((0.95, 0.01), BELL), ((0.95, 0.01), KETTLE))
    assert events[:2] == [("start", "bell", "taught"), ("start", "low", "bundle")]
    assert ("end", "low", "bundle") in events
    assert refusals == [("low", "taught_not")]


def test_another_label_of_an_excluded_sound_is_an_event():
    """Only the named label is refused."""
    assert track(((0.01, 0.95), KETTLE))[0] == [("start", "high", "bundle")]


def test_taught_labels_are_names_with_a_threshold():
    """They stand between the bundle's labels and the AudioSet classes, with the threshold 0.5."""
    config = EventsConfig(audioset={"Typewriter": 0.4})
    names = event_names(config, fake_bundle(), TAUGHT)
    assert [name.slug for name in names] == ["low", "high", "bell", "typewriter"]
    _, taught, _ = make_vocabularies(config, fake_bundle(), TAUGHT)
    assert list(taught.thresholds.values()) == [0.5]
