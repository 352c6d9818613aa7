import numpy as np

from device.config.models import EventsConfig
from device.detection.event_tracker import EventTracker
from device.types import UNKNOWN, Span, Window

LABELS = ("dog_bark", "siren")
RATE, LENGTH, HOP = 100, 300, 100


class Scorer:
    """Rules of a bundle: `unknown` below 0.3; live scores are the mean, and 0 for a faint sound."""

    labels = LABELS

    def decide(self, scores):
        return LABELS[int(np.argmax(scores))] if scores.max() >= 0.3 else UNKNOWN

    def live_scores(self, scores, windows, rise_db):
        return scores.mean(axis=0) * (rise_db >= 10)


def tracker(on_refusal=lambda _refusal: None, scorer=None, **config):
    return EventTracker(
        EventsConfig(**{"smoothing_windows": 1, "cooldown_seconds": 0, **config}),
        bundle_thresholds={"dog_bark": 0.5, "siren": 0.8},
        scorer=scorer or Scorer(),
        sample_rate=RATE,
        on_refusal=on_refusal,
    )


def hear(tracker, *scores, at=1000, end=None, rise_db=30.0):
    """One sounding: windows with these scores, then its end; gives the messages."""
    sound = Span(at, at, "level", is_open=True)
    events = []
    for number, pair in enumerate(scores):
        start = at - 50 + number * HOP
        window = Window(start, start + LENGTH, sound, HOP)
        events += tracker.update(window, np.array(pair, np.float32), rise_db, -20.0 - number, lambda p: p / RATE)
    over = Span(at, end or at + LENGTH + (len(scores) - 1) * HOP - 50, "level", is_open=False)
    return events + list(tracker.close(over, lambda p: p / RATE))


def test_a_sound_is_one_start_and_one_end():
    """A sound that one window names starts at the gate's onset and ends where the sound did."""
    start, end = hear(tracker(), (0.9, 0.1), end=1120)
    assert (start.type, start.label, start.start_time, start.end_time) == ("start", "dog_bark", 10.0, None)
    assert (end.type, end.event_id, end.end_time) == ("end", start.event_id, 11.2)
    assert (start.gate, start.level_dbfs) == ("level", -20.0)
    assert start.scores == {"dog_bark": 0.9, "siren": 0.1}


def test_each_label_has_its_own_threshold():
    """The bundle's thresholds are per label; config's come before them, the label's own first."""
    assert hear(tracker(), (0.3, 0.7)) == []
    assert hear(tracker(threshold=0.6), (0.3, 0.7)) != []
    assert hear(tracker(threshold=0.6, thresholds={"siren": 0.9}), (0.3, 0.7)) == []


def test_unknown_is_no_event():
    """What the bundle's rule calls unknown starts nothing, whatever the threshold."""
    assert hear(tracker(threshold=0.0), (0.2, 0.1)) == []


def test_a_long_sound_is_one_event():
    """A sound that many windows name alike is one event, at its surest confidence and highest level."""
    start, end = hear(tracker(), (0.6, 0.1), (0.9, 0.0), (0.7, 0.0))
    assert (start.confidence, end.confidence) == (0.6, 0.9)
    assert end.level_dbfs == -20.0
    assert end.end_time > start.start_time


def test_another_label_ends_the_first():
    """When a siren takes over from a dog, the dog's event ends and the siren's starts."""
    messages = hear(tracker(), (0.9, 0.1), (0.05, 0.95), (0.05, 0.95))
    assert [(m.type, m.label) for m in messages] == [
        ("start", "dog_bark"),
        ("end", "dog_bark"),
        ("start", "siren"),
        ("end", "siren"),
    ]
    assert messages[2].start_time > messages[0].start_time


def test_a_pause_within_a_sounding_ends_the_event():
    """Windows that no longer hold the label end the event, about where the last that did was left."""
    messages = hear(tracker(), (0.9, 0.0), *[(0.1, 0.1)] * 5)
    assert [m.type for m in messages] == ["start", "end"]
    assert messages[1].end_time == (1000 + HOP) / RATE


def test_two_labels_at_once_are_two_events():
    """A dog that barks through a siren: both are over their thresholds, and both are told."""
    messages = hear(tracker(threshold=0.4), (0.5, 0.5), (0.1, 0.85))
    assert [(m.type, m.label) for m in messages] == [
        ("start", "dog_bark"),
        ("start", "siren"),
        ("end", "dog_bark"),
        ("end", "siren"),
    ]


def test_an_event_ends_at_its_maximum():
    """A sound without an end is ended at the maximum, and not started again until it has been quiet."""
    tracked = tracker(maximum_seconds=5)
    messages = hear(tracked, *[(0.9, 0.0)] * 20)
    assert [m.type for m in messages] == ["start", "end"]
    assert 5 <= messages[1].end_time - messages[0].start_time <= 7
    assert len(hear(tracked, (0.9, 0.0), at=20000)) == 2


def test_smoothing_judges_windows_together():
    """With smoothing, one odd window neither starts an event nor splits one."""
    assert hear(tracker(smoothing_windows=3), (0.3, 0.0), (0.6, 0.0), (0.3, 0.0)) == []
    assert len(hear(tracker(smoothing_windows=3), (0.9, 0.0), (0.2, 0.4), (0.9, 0.0))) == 2


def test_windows_are_told_apart_by_what_they_add():
    """The scorer receives the covered time in windows, and the highest rise in any of them."""
    received = []

    class Recorder(Scorer):
        def live_scores(self, scores, windows, rise_db):
            received.append((len(scores), round(windows, 2), rise_db))
            return scores.mean(axis=0)

    tracked = tracker(smoothing_windows=3, scorer=Recorder())
    sound = Span(1000, 1000, "level", is_open=True)
    for start, rise_db in ((950, 12.0), (1050, 25.0), (1150, 8.0), (1250, 9.0), (5000, 9.0)):
        window = Window(start, start + LENGTH, sound, HOP)
        list(tracked.update(window, np.array([0.1, 0.1], np.float32), rise_db, -20.0, lambda p: p / RATE))
    assert received == [(1, 1.0, 12.0), (2, 1.33, 25.0), (3, 1.67, 25.0), (3, 1.67, 25.0), (3, 3, 9.0)]


def test_a_faint_sound_is_judged_as_such():
    """How far a sound rises above the noise floor reaches the bundle's rule."""
    assert hear(tracker(), (0.9, 0.1), rise_db=5.0) == []


def test_cooldown_holds_back_the_same_label_only():
    """Right after a dog, another dog is not announced, but a siren is; later a dog is again."""
    tracked = tracker(cooldown_seconds=5)
    assert len(hear(tracked, (0.9, 0.0), at=1000)) == 2
    assert hear(tracked, (0.9, 0.0), at=1400) == []
    assert len(hear(tracked, (0.0, 0.9), at=1500)) == 2
    assert len(hear(tracked, (0.9, 0.0), at=2000)) == 2


def test_what_becomes_no_event_is_told_with_its_reason():
    """Each window that starts nothing and holds nothing says which label came nearest, and why it was not enough."""
    refused = []
    tracked = tracker(refused.append, cooldown_seconds=5, maximum_seconds=5)
    hear(tracked, (0.4, 0.3), at=1000)
    hear(tracked, (0.1, 0.2), at=2000)
    hear(tracked, (0.9, 0.0), at=3000)
    hear(tracked, (0.8, 0.0), at=3400)
    hear(tracked, *[(0.9, 0.0)] * 6, at=9000)
    told = [(each.reason, each.label, each.confidence, each.threshold) for each in refused]
    assert told[:3] == [
        ("below_threshold", "dog_bark", 0.4, 0.5),
        ("unknown", "siren", 0.2, 0.8),
        ("cooling_down", "dog_bark", 0.8, 0.5),
    ]
    assert {reason for reason, *_ in told[3:]} == {"maximum_duration"}
    assert refused[0].time == (1000 - 50 + LENGTH) / RATE


def test_no_event_starts_in_quiet_hours(berlin_time):
    """A sound of the night is refused; one that began before ends as it would; one that lasts is told at seven."""
    refused = []
    tracked = tracker(refused.append, quiet_hours=["22:00-07:00"])
    evening, morning = (round(berlin_time(2026, 6, *clock) * RATE) for clock in ((1, 21, 59, 58), (2, 6, 59, 57)))
    begun = hear(tracked, *[(0.9, 0.0)] * 20, at=evening)
    assert [m.type for m in begun] == ["start", "end"]
    assert begun[1].end_time - begun[0].start_time > 15
    assert hear(tracked, *[(0.9, 0.0)] * 3, at=evening + 3600 * RATE) == []
    assert {each.reason for each in refused} == {"quiet_hours"}
    start, end = hear(tracked, *[(0.9, 0.0)] * 20, at=morning)
    assert 0 <= start.start_time - (morning / RATE + 3) < 2
    assert end.type == "end"


def test_a_window_that_holds_an_event_refuses_nothing():
    """While a siren has its event, the dog that it is not is no refusal."""
    refused = []
    hear(tracker(refused.append), *[(0.05, 0.9)] * 5)
    assert refused == []


def test_every_start_has_its_end():
    """Whatever is heard, starts and ends alternate and share an id: nothing stays ON for ever."""
    generator = np.random.default_rng(7)
    tracked = tracker(cooldown_seconds=0.5)
    for sounding in range(200):
        messages = hear(
            tracked, *generator.dirichlet([0.4, 0.4, 0.4], size=generator.integers(1, 6))[:, :2], at=sounding * 997
        )
        assert [m.type for m in messages] == ["start", "end"] * (len(messages) // 2)
        for start, end in zip(messages[::2], messages[1::2], strict=True):
            assert start.event_id == end.event_id
            assert end.end_time >= start.start_time
