"""Tests of the vocabularies, and of the event tracker with AudioSet classes."""

import numpy as np
import pytest
from tiny_bundle import CLASSES, fake_bundle

from device.config.models import EventsConfig
from device.detection.configured_names import event_names, make_vocabularies
from device.detection.event_tracker import EventTracker
from device.detection.label_settings import LabelSetting
from device.detection.vocabulary import ScoredWindow
from device.types import Span, Window

RATE, LENGTH, HOP = 100, 300, 100
UNKNOWN_SOUND = (0.05, 0.05)


def tracker(audioset, on_refusal=lambda _refusal: None, **config):
    defaults = {"smoothing_windows": 1, "cooldown_seconds": 0, "alarm_patterns": {}}
    events = EventsConfig(audioset=audioset, **{**defaults, **config})
    vocabularies = make_vocabularies(events, fake_bundle())
    return EventTracker(events, vocabularies=vocabularies, sample_rate=RATE, on_refusal=on_refusal)


def track_span(tracked, *windows, at=1000):
    """Track one span with a window for each pair of label scores and AudioSet probabilities; return the events."""
    span = Span(at, at, "level", is_open=True)
    events = []
    for number, (scores, probabilities) in enumerate(windows):
        audioset = np.zeros(len(CLASSES), np.float32)
        for name, probability in probabilities.items():
            audioset[CLASSES.index(name)] = probability
        start = at - 50 + number * HOP
        window = Window(start, start + LENGTH, span, HOP)
        scored = ScoredWindow(window, np.array(scores, np.float32), 30.0, audioset)
        events += tracked.update(scored, -20.0, lambda p: p / RATE)
    closed = Span(at, at + LENGTH + (len(windows) - 1) * HOP - 50, "level", is_open=False)
    return events + list(tracked.close(closed, lambda p: p / RATE))


def thresholds(tracked):
    return {slug: setting.threshold for slug, setting in tracked.settings.by_slug().items()}


def kinds(events):
    return [(event.type, event.vocabulary, event.label, event.slug) for event in events]


def test_an_unknown_sound_can_be_an_event_of_an_audioset_class():
    """A class above its threshold is an event with start and end, although the decision of the labels is unknown."""
    events = track_span(tracker({"Typewriter": 0.5, "Hum": 0.5}), (UNKNOWN_SOUND, {"Typewriter": 0.6, "Speech": 0.9}))
    assert kinds(events) == [("start", "audioset", "Typewriter", "typewriter"), ("end", *kinds(events)[0][1:])]
    assert events[0].event_id == events[1].event_id
    assert events[0].scores == {"Typewriter": 0.6, "Hum": 0.0}
    assert (events[0].confidence, events[0].start_time) == (0.6, 10.0)


def test_classes_do_not_compete_with_labels_or_one_another():
    """A label and two classes above their thresholds in one window are three events."""
    events = track_span(tracker({"Typewriter": 0.3, "Speech": 0.4}), ((0.95, 0.01), {"Typewriter": 0.35, "Speech": 1}))
    assert [event.label for event in events if event.type == "start"] == ["low", "Speech", "Typewriter"]
    assert events[0].scores.keys() == {"low", "high"}


@pytest.mark.parametrize(
    ("probabilities", "starts"), [((0.8, 0.2, 0.2), 1), ((0.2, 0.9, 0.3), 1), ((0.4, 0.4, 0.6), 0), ((0, 0.9, 0), 0)]
)
def test_the_confidence_of_a_class_is_the_mean_of_the_windows(probabilities, starts):
    """The last windows' probabilities are averaged, so one window neither reaches nor cancels a threshold alone."""
    windows = [(UNKNOWN_SOUND, {"Hum": probability}) for probability in probabilities]
    events = track_span(tracker({"Hum": 0.5}, smoothing_windows=3), *windows)
    assert [event.type for event in events] == ["start", "end"] * starts


def test_an_event_contains_the_scores_of_its_highest_confidence():
    """The end message has the highest confidence, rounded to four digits, and the scores of that moment."""
    windows = [(UNKNOWN_SOUND, {"Hum": p, "Music": 0.12345}) for p in (0.6, 0.7, 0.65)]
    start, end = track_span(tracker({"Hum": 0.5, "Music": 0.5}), *windows)
    assert (start.confidence, end.confidence) == (0.6, 0.7)
    assert end.scores == {"Hum": 0.7, "Music": 0.1235}


def test_cool_down_maximum_and_quiet_hours_apply_to_classes(berlin_time):
    """A class is refused for the same reasons as a label, each by its own name."""
    refused = []
    loud, at = (UNKNOWN_SOUND, {"Hum": 0.9}), round(berlin_time(2026, 6, 1, 12, 0, 0) * RATE)
    tracked = tracker({"Hum": 0.5}, refused.append, cooldown_seconds=5, maximum_seconds=5, quiet_hours=["22:00-07:00"])
    assert len(track_span(tracked, loud, at=at)) == 2
    assert track_span(tracked, loud, at=at + 400) == []
    assert len(track_span(tracked, *[loud] * 9, at=at + 3000)) == 2
    assert track_span(tracked, loud, at=at + 12 * 3600 * RATE) == []
    assert {(each.label, each.reason) for each in refused} == {
        ("Hum", "cooling_down"),
        ("Hum", "maximum_duration"),
        ("Hum", "quiet_hours"),
    }


def test_a_class_near_its_threshold_is_refused():
    """Without a detection, each class from half of its threshold on is refused; the labels' refusal stays."""
    refused = []
    tracked = tracker({"Hum": 0.6, "Music": 0.6}, refused.append)
    track_span(tracked, (UNKNOWN_SOUND, {"Hum": 0.3, "Music": 0.29}))
    assert [(each.label, each.reason, each.threshold) for each in refused] == [
        ("low", "unknown", 0.5),
        ("Hum", "below_threshold", 0.6),
    ]
    refused.clear()
    track_span(tracked, (UNKNOWN_SOUND, {"Hum": 0.8, "Music": 0.4}), at=5000)
    assert refused == []


def test_the_threshold_of_a_class_can_be_changed():
    """Thresholds are by slug, and a changed one applies from the next window on."""
    tracked = tracker({"Hum": 0.6})
    assert thresholds(tracked) == {"low": 0.5, "high": 0.5, "hum": 0.6}
    tracked.settings.change("hum", LabelSetting(0.2, 0.0))
    assert len(track_span(tracked, (UNKNOWN_SOUND, {"Hum": 0.3}))) == 2


def test_the_general_threshold_is_that_of_labels():
    """`events.threshold` applies to labels, because each class of the config has a threshold of its own."""
    assert thresholds(tracker({"Hum": 0.6}, threshold=0.9)) == {"low": 0.9, "high": 0.9, "hum": 0.6}


def test_a_class_and_a_label_of_one_name_are_two_names():
    """The slug of a class that equals a label in any spelling has a prefix, and both can become events."""
    bundle = fake_bundle(
        labels=["Hum", "class_4"],
        thresholds={name: {"threshold": 0.5, "false_alarms_per_hour": 0.0} for name in ("Hum", "class_4")},
    )
    events = EventsConfig(audioset={"Hum": 0.5, "Class 4": 0.5, "Class 5": 0.5}, alarm_patterns={}, smoothing_windows=1)
    assert [name.slug for name in event_names(events, bundle)] == [
        *("Hum", "class_4"),
        *("audioset_hum", "audioset_class_4", "class_5"),
    ]
    tracked = EventTracker(events, vocabularies=make_vocabularies(events, bundle), sample_rate=RATE)
    starts = [each for each in track_span(tracked, ((0.9, 0.0), {"Hum": 0.8})) if each.type == "start"]
    assert [(each.label, each.slug, each.confidence > 0.85) for each in starts] == [
        ("Hum", "Hum", True),
        ("Hum", "audioset_hum", False),
    ]


def test_without_configured_classes_there_are_labels_alone():
    """By default, the AudioSet network's classes become no events."""
    assert len(make_vocabularies(EventsConfig(), fake_bundle())) == 1
    assert track_span(tracker({}), (UNKNOWN_SOUND, {"Speech": 1.0})) == []


def test_every_start_of_a_class_has_its_end():
    """For random scores, each event of labels and classes has one start and one end, in this order."""
    generator = np.random.default_rng(5)
    tracked = tracker({"Hum": 0.5, "Music": 0.3}, smoothing_windows=3, cooldown_seconds=0.5)
    for number in range(100):
        windows = [
            (generator.dirichlet([0.4, 0.4, 0.4])[:2], dict(zip(("Hum", "Music"), generator.random(2), strict=True)))
            for _ in range(generator.integers(1, 6))
        ]
        types = {}
        for event in track_span(tracked, *windows, at=number * 997):
            types.setdefault((event.event_id, event.slug), []).append(event.type)
        assert all(value == ["start", "end"] for value in types.values())
        assert not tracked.has_active_events
