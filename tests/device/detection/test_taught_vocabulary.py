"""Tests of the event tracker with taught sounds."""

import numpy as np
from tiny_bundle import fake_bundle

from device.config.models import EventsConfig
from device.detection.configured_names import event_names, make_vocabularies
from device.detection.event_tracker import EventTracker
from device.detection.label_settings import LabelSetting
from device.detection.vocabulary import ScoredWindow
from device.model.taught import Detector, TaughtSounds
from device.types import Span, Window

RATE, LENGTH, HOP = 100, 300, 100
BELL, KETTLE = np.array([1, 0, 0, 0], np.float32), np.array([0, 1, 0, 0], np.float32)


def detector(direction):
    return Detector(np.zeros(4, np.float32), np.ones(4, np.float32), 3.0 * direction, -3.0)


TAUGHT = TaughtSounds({"bell": detector(BELL)}, {"low": detector(KETTLE)})


def seconds(position):
    return position / RATE


def scored(scores, embedding, start, *, is_early=False):
    """Return a window of one span."""
    window = Window(start, start + LENGTH, Span(1000, 1000, "level", is_open=True), HOP, is_early=is_early)
    return ScoredWindow(window, np.array(scores, np.float32), 30.0, None, embedding)


def make_tracker():
    """Return a tracker that judges each window alone, and its refusals."""
    events, refusals = EventsConfig(smoothing_windows=1, cooldown_seconds=0), []
    vocabularies = make_vocabularies(events, fake_bundle(), TAUGHT)
    tracker = EventTracker(
        events, vocabularies=vocabularies, sample_rate=RATE, on_refusal=refusals.append, taught=TAUGHT
    )
    return tracker, refusals


def track(*windows):
    """Track a window for each pair of label scores and embedding; return events and refusals."""
    tracker, refusals = make_tracker()
    result = []
    for number, (scores, embedding) in enumerate(windows):
        result += tracker.update(scored(scores, embedding, 950 + number * HOP), -20.0, seconds)
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
    """They stand between the bundle's labels and the AudioSet classes, with the threshold 0.5 and other settings."""
    config = EventsConfig(audioset={"Typewriter": 0.4})
    names = event_names(config, fake_bundle(), TAUGHT)
    assert [name.slug for name in names[:4]] == ["low", "high", "bell", "typewriter"]
    assert {name.vocabulary for name in names[4:]} == {"pattern"}
    vocabularies = make_vocabularies(config, fake_bundle(), TAUGHT)
    assert list(vocabularies[1].thresholds.values()) == [0.5]
    tracker = EventTracker(config, vocabularies=vocabularies, sample_rate=RATE, taught=TAUGHT)
    assert tracker.settings.by_slug()["bell"] == LabelSetting(0.5, config.cooldown_seconds)


def test_a_taught_label_can_be_switched_off():
    """Its switch refuses it, as any other label."""
    tracker, refusals = make_tracker()
    tracker.settings.change("bell", LabelSetting(0.5, 0.0, enabled=False))
    assert list(tracker.update(scored((0.05, 0.05), BELL, 950), -20.0, seconds)) == []
    assert [(each.label, each.reason) for each in refusals] == [("bell", "switched_off")]


def test_taught_sounds_get_no_early_answer():
    """An early look starts no taught label, and no label of which some sounds are excluded; full windows do."""
    tracker, _ = make_tracker()
    for scores, label in (((0.05, 0.05), "bell"), ((0.999, 0.0), "low")):
        assert list(tracker.look(scored(scores, BELL, 900, is_early=True), -20.0, seconds)) == []
        assert label in [event.label for event in tracker.update(scored(scores, BELL, 950), -20.0, seconds)]
    tracker, _ = make_tracker()
    look = scored((0.0, 0.999), BELL, 900, is_early=True)
    assert [event.label for event in tracker.look(look, -20.0, seconds)] == ["high"]
