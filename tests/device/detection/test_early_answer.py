"""Tests of early looks in the event tracker."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import fake_bundle

from device.config.models import EventsConfig
from device.detection.configured_names import make_vocabularies
from device.detection.event_tracker import EventTracker
from device.detection.vocabulary import AudioSetVocabulary, LabelVocabulary, ScoredWindow
from device.types import UNKNOWN, SoundName, Span, Window

LABELS = ("dog_bark", "siren")
RATE, LENGTH, HOP, ONSET = 100, 300, 100, 1000
SURE, UNSURE = 0.97, 0.8
"""Scores above and below the early threshold of a label whose threshold is 0.5."""


class Scorer:
    """Rules of a bundle: `unknown` below 0.3; live scores are the mean."""

    labels = LABELS

    def decide(self, scores):
        return LABELS[int(np.argmax(scores))] if scores.max() >= 0.3 else UNKNOWN

    def live_scores(self, scores, _windows, _rise_db):
        return scores.mean(axis=0)


def track(looks, windows, on_refusal=lambda _refusal: None, at=ONSET, tracker=None, **config):
    """Track a sound with scores (dog_bark, siren) of its early looks, 1 s and 2 s long, and of its full windows."""
    if tracker is None:
        vocabulary = LabelVocabulary(Scorer(), dict.fromkeys(LABELS, 0.5))
        events = EventsConfig(**{"smoothing_windows": 1, **config})
        tracker = EventTracker(events, vocabularies=[vocabulary], sample_rate=RATE, on_refusal=on_refusal)
    span = Span(at, at, "level", is_open=True)

    def scored(end, scores, **kind):
        return ScoredWindow(Window(end - LENGTH, end, span, HOP, **kind), np.array(scores, np.float32), 30.0)

    events = []
    for number, scores in enumerate(looks, 1):
        events += tracker.look(scored(at + number * RATE, scores, is_early=True), -20.0, lambda p: p / RATE)
    for number, scores in enumerate(windows):
        events += tracker.update(scored(at + 250 + number * HOP, scores), -30.0, lambda p: p / RATE)
    sound_end = at + 250 + (len(windows) - 1) * HOP
    events += tracker.close(Span(at, sound_end, "level", is_open=False), lambda p: p / RATE)
    return [(event.type, event.label, event.start_time, event.end_time, event.event_id) for event in events]


def early_threshold(threshold):
    return LabelVocabulary(Scorer(), dict.fromkeys(LABELS, 0.5)).early_threshold(threshold)


def without_ids(events):
    return [event[:-1] for event in events]


def test_a_sure_look_starts_the_event_that_full_windows_continue():
    """The event has one id, the onset as its start, and the same end as without a look."""
    windows = [(0.9, 0.0), (0.9, 0.0), (0.2, 0.2), (0.2, 0.2)]
    early = track([(SURE, 0.0)], windows)
    assert without_ids(early) == without_ids(track([], windows))
    assert [event[0] for event in early] == ["start", "end"]
    assert early[0][2] == ONSET / RATE
    assert early[0][4] == early[1][4]


def test_an_unsure_look_changes_nothing():
    """A look between the threshold and the early one starts nothing, and is no refusal either."""
    refused = []
    assert track([(UNSURE, 0.1), (UNSURE, 0.1)], [(0.1, 0.1)], refused.append) == []
    assert len(refused) == 1  # of the full window
    assert without_ids(track([(UNSURE, 0.1)], [(0.9, 0.0)])) == without_ids(track([], [(0.9, 0.0)]))


def test_a_full_window_without_the_label_ends_the_event_where_the_look_ended():
    """The event is a short one; the label of the full window is an event of its own, and none changes its label."""
    early = track([(SURE, 0.0)], [(0.05, 0.9), (0.05, 0.9)])
    assert without_ids(early) == [
        ("start", "dog_bark", 10.0, None),
        ("end", "dog_bark", 10.0, 11.0),
        ("start", "siren", 10.0, None),
        ("end", "siren", 10.0, 13.5),
    ]
    assert early[0][4] == early[1][4] != early[2][4]
    assert without_ids(track([(SURE, 0.0)], [(0.1, 0.1)])) == without_ids(early[:2])


def test_a_label_that_returns_at_once_starts_no_second_event():
    """After an unconfirmed early start, the cool-down holds as after any event."""
    refused = []
    events = track([(SURE, 0.0)], [(0.1, 0.1), (0.9, 0.0)], refused.append, cooldown_seconds=5)
    assert [event[0] for event in events] == ["start", "end"]
    assert [refusal.reason for refusal in refused] == ["unknown", "cooling_down"]


def test_a_look_starts_no_event_in_quiet_hours(berlin_time):
    """Quiet hours hold for early looks; the full window reports the refusal, once."""
    refused, at = [], round(berlin_time(2026, 6, 1, 23, 0, 0) * RATE)
    assert track([(SURE, 0.0)] * 2, [(0.9, 0.0)], refused.append, at=at, quiet_hours=["22:00-07:00"]) == []
    assert [refusal.reason for refusal in refused] == ["quiet_hours"]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_limits_of_a_threshold_are_those_of_its_early_threshold(threshold):
    """A threshold of 0 or 1 holds for early looks as well."""
    assert early_threshold(threshold) == threshold


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_an_early_threshold_is_higher_and_keeps_the_order(one, other):
    """An early look needs more confidence than a full window; a higher threshold never needs less."""
    assert one < early_threshold(one) < 1
    assert (one <= other) == (early_threshold(one) <= early_threshold(other)) or early_threshold(
        one
    ) == early_threshold(other)


def test_every_start_has_its_end():
    """For random scores of looks and windows, each start has one end, no label starts twice, no state stays ON."""
    generator = np.random.default_rng(7)
    vocabulary = LabelVocabulary(Scorer(), dict.fromkeys(LABELS, 0.5))
    tracker = EventTracker(EventsConfig(cooldown_seconds=0.5), vocabularies=[vocabulary], sample_rate=RATE)
    started = 0
    for number in range(200):
        rows = generator.dirichlet([0.2, 0.2, 0.2], size=generator.integers(3, 8))[:, :2]
        active = {}
        for kind, label, start_time, end_time, event_id in track(rows[:2], rows[2:], at=number * 2000, tracker=tracker):
            if kind == "start":
                assert label not in active
                active[label] = event_id
                started += 1
            else:
                assert active.pop(label) == event_id
                assert end_time >= start_time
        assert not active
    assert started > 50


def test_an_audioset_class_has_no_early_answer():
    """An early look starts no event of an AudioSet class: nothing was measured for these thresholds."""
    name = SoundName("Doorbell", "doorbell", "audioset")
    vocabulary = AudioSetVocabulary({name: 0.0}, ("Doorbell",))
    tracker = EventTracker(EventsConfig(), vocabularies=[vocabulary], sample_rate=RATE)
    window = Window(ONSET - 200, ONSET + 100, Span(ONSET, ONSET, "level", is_open=True), HOP, is_early=True)
    look = ScoredWindow(window, np.zeros(2, np.float32), 30.0, np.ones(1, np.float32))
    assert list(tracker.look(look, -20.0, lambda p: p / RATE)) == []
    assert next(tracker.update(look, -20.0, lambda p: p / RATE)).label == "Doorbell"


def test_a_single_network_needs_a_larger_margin():
    """In a bundle without a second network nothing confirms an early look, so it must be surer."""
    both, alone = (
        make_vocabularies(EventsConfig(), fake_bundle(networks))[0].early_threshold(0.4)
        for networks in (("audioset", "inception"), ("audioset",))
    )
    assert 0.7 < both < alone < 0.9
