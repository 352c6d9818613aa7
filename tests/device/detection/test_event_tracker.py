import numpy as np

from device.config.models import EventsConfig
from device.detection.configured_names import label_thresholds
from device.detection.event_tracker import EventTracker
from device.detection.label_settings import LabelSetting
from device.detection.vocabulary import LabelVocabulary, ScoredWindow
from device.types import UNKNOWN, Span, Window

LABELS = ("dog_bark", "siren")
RATE, LENGTH, HOP = 100, 300, 100


class Scorer:
    """Rules of a bundle: `unknown` below 0.3; live scores are the mean, or 0 for a rise below 10 dB."""

    labels = LABELS

    def decide(self, scores):
        return LABELS[int(np.argmax(scores))] if scores.max() >= 0.3 else UNKNOWN

    def live_scores(self, scores, windows, rise_db):
        return scores.mean(axis=0) * (rise_db >= 10)


def tracker(on_refusal=lambda _refusal: None, scorer=None, **config):
    events = EventsConfig(**{"smoothing_windows": 1, "cooldown_seconds": 0, **config})
    thresholds = label_thresholds(events, {"dog_bark": 0.5, "siren": 0.8})
    return EventTracker(
        events,
        vocabularies=[LabelVocabulary(scorer or Scorer(), thresholds)],
        sample_rate=RATE,
        on_refusal=on_refusal,
    )


def track_span(tracker, *scores, at=1000, end=None, rise_db=30.0):
    """Track one span with a window for each pair of scores, then its end; return the events."""
    span = Span(at, at, "level", is_open=True)
    events = []
    for number, pair in enumerate(scores):
        start = at - 50 + number * HOP
        scored = ScoredWindow(Window(start, start + LENGTH, span, HOP), np.array(pair, np.float32), rise_db)
        events += tracker.update(scored, -20.0 - number, lambda p: p / RATE)
    closed = Span(at, end or at + LENGTH + (len(scores) - 1) * HOP - 50, "level", is_open=False)
    return events + list(tracker.close(closed, lambda p: p / RATE))


def test_a_sound_is_one_start_and_one_end():
    """A label detected in one window starts when the gate opened and ends with the span."""
    start, end = track_span(tracker(), (0.9, 0.1), end=1120)
    assert (start.type, start.label, start.start_time, start.end_time) == ("start", "dog_bark", 10.0, None)
    assert (end.type, end.event_id, end.end_time) == ("end", start.event_id, 11.2)
    assert (start.gate, start.level_dbfs) == ("level", -20.0)
    assert start.scores == {"dog_bark": 0.9, "siren": 0.1}


def test_each_label_has_its_own_threshold():
    """The threshold of a label in the config has priority, then the general one, then the bundle's."""
    assert track_span(tracker(), (0.3, 0.7)) == []
    assert track_span(tracker(threshold=0.6), (0.3, 0.7)) != []
    assert track_span(tracker(threshold=0.6, thresholds={"siren": 0.9}), (0.3, 0.7)) == []


def test_unknown_is_no_event():
    """A sound that the bundle's rule classifies as unknown starts no event, even with a threshold of 0."""
    assert track_span(tracker(threshold=0.0), (0.2, 0.1)) == []


def test_a_long_sound_is_one_event():
    """A label detected in successive windows is one event, with its highest confidence and level."""
    start, end = track_span(tracker(), (0.6, 0.1), (0.9, 0.0), (0.7, 0.0))
    assert (start.confidence, end.confidence) == (0.6, 0.9)
    assert end.level_dbfs == -20.0
    assert end.end_time > start.start_time


def test_another_label_ends_the_first():
    """When a siren takes over from a dog, the dog's event ends and the siren's starts."""
    messages = track_span(tracker(), (0.9, 0.1), (0.05, 0.95), (0.05, 0.95))
    assert [(m.type, m.label) for m in messages] == [
        ("start", "dog_bark"),
        ("end", "dog_bark"),
        ("start", "siren"),
        ("end", "siren"),
    ]
    assert messages[2].start_time > messages[0].start_time


def test_an_event_ends_when_its_label_is_no_longer_detected():
    """Windows without the label end its event at the end of the last hop that contained it."""
    messages = track_span(tracker(), (0.9, 0.0), *[(0.1, 0.1)] * 5)
    assert [m.type for m in messages] == ["start", "end"]
    assert messages[1].end_time == (1000 + HOP) / RATE


def test_two_labels_at_once_are_two_events():
    """Two labels above their thresholds in one window start two events."""
    messages = track_span(tracker(threshold=0.4), (0.5, 0.5), (0.1, 0.85))
    assert [(m.type, m.label) for m in messages] == [
        ("start", "dog_bark"),
        ("start", "siren"),
        ("end", "dog_bark"),
        ("end", "siren"),
    ]


def test_an_event_ends_at_its_maximum():
    """An event ends at its maximum duration, and its label starts no other in the same span."""
    tracked = tracker(maximum_seconds=5)
    messages = track_span(tracked, *[(0.9, 0.0)] * 20)
    assert [m.type for m in messages] == ["start", "end"]
    assert 5 <= messages[1].end_time - messages[0].start_time <= 7
    assert len(track_span(tracked, (0.9, 0.0), at=20000)) == 2


def test_smoothing_combines_the_scores_of_windows():
    """With smoothing, one odd window neither starts nor splits an event."""
    assert track_span(tracker(smoothing_windows=3), (0.3, 0.0), (0.6, 0.0), (0.3, 0.0)) == []
    assert len(track_span(tracker(smoothing_windows=3), (0.9, 0.0), (0.2, 0.4), (0.9, 0.0))) == 2


def test_the_scorer_receives_the_windows_without_their_overlap():
    """The scorer receives the covered time in windows, and the highest rise in any of them."""
    received = []

    class Recorder(Scorer):
        def live_scores(self, scores, windows, rise_db):
            received.append((len(scores), round(windows, 2), rise_db))
            return scores.mean(axis=0)

    tracked = tracker(smoothing_windows=3, scorer=Recorder())
    span = Span(1000, 1000, "level", is_open=True)
    for start, rise_db in ((950, 12.0), (1050, 25.0), (1150, 8.0), (1250, 9.0), (5000, 9.0)):
        window = Window(start, start + LENGTH, span, HOP)
        scored = ScoredWindow(window, np.array([0.1, 0.1], np.float32), rise_db)
        list(tracked.update(scored, -20.0, lambda p: p / RATE))
    assert received == [(1, 1.0, 12.0), (2, 1.33, 25.0), (3, 1.67, 25.0), (3, 1.67, 25.0), (3, 3, 9.0)]


def test_the_scorer_receives_the_rise_of_a_faint_sound():
    """The rise above the noise floor is passed to the bundle's rule, which may reject a faint sound."""
    assert track_span(tracker(), (0.9, 0.1), rise_db=5.0) == []


def test_cooldown_applies_to_the_same_label_only():
    """During the cool-down of one label another label starts an event; afterwards the first does again."""
    tracked = tracker(cooldown_seconds=5)
    assert len(track_span(tracked, (0.9, 0.0), at=1000)) == 2
    assert track_span(tracked, (0.9, 0.0), at=1400) == []
    assert len(track_span(tracked, (0.0, 0.9), at=1500)) == 2
    assert len(track_span(tracked, (0.9, 0.0), at=2000)) == 2


def test_the_cooldown_of_a_label_can_be_changed():
    """A label's own cool-down counts from its last end, also of an event before the change, and for no other label."""
    tracked = tracker(cooldown_seconds=1)
    (_, end), other = track_span(tracked, (0.9, 0.0), at=1000), track_span(tracked, (0.0, 0.9), at=1400)
    assert len(other) == 2
    tracked.settings.change("dog_bark", LabelSetting(0.5, cooldown=60))
    assert track_span(tracked, (0.9, 0.0), at=round((end.end_time + 59) * RATE)) == []
    assert len(track_span(tracked, (0.0, 0.9), at=round((end.end_time + 59) * RATE))) == 2
    assert len(track_span(tracked, (0.9, 0.0), at=round((end.end_time + 60) * RATE))) == 2


def test_a_label_that_is_switched_off_starts_no_event():
    """Its windows are refused, and other labels start events; switched on, it starts one again."""
    refused = []
    tracked = tracker(refused.append)
    tracked.settings.change("dog_bark", LabelSetting(0.5, cooldown=0, enabled=False))
    assert track_span(tracked, (0.9, 0.0), (0.9, 0.0), at=1000) == []
    assert [(each.reason, each.label) for each in refused] == [("switched_off", "dog_bark")] * 2
    assert len(track_span(tracked, (0.0, 0.9), at=3000)) == 2
    tracked.settings.change("dog_bark", LabelSetting(0.5, cooldown=0))
    assert len(track_span(tracked, (0.9, 0.0), at=5000)) == 2


def test_an_event_that_has_started_ends_as_usual_after_its_label_is_switched_off():
    """The event continues while its label is detected, and ends once; no second one follows."""
    tracked = tracker()
    span = Span(1000, 1000, "level", is_open=True)
    types = []
    for number, score in enumerate((0.9, 0.9, 0.9, 0.0, 0.9)):
        start = 950 + number * HOP
        scored = ScoredWindow(Window(start, start + LENGTH, span, HOP), np.array((score, 0.0), np.float32), 30.0)
        types.append([each.type for each in tracked.update(scored, -20.0, lambda p: p / RATE)])
        tracked.settings.change("dog_bark", LabelSetting(0.5, cooldown=0, enabled=False))
    assert types == [["start"], [], [], ["end"], []]


def test_a_label_that_becomes_no_event_is_refused_with_a_reason():
    """Each window without an event causes a refusal with the likeliest label and the reason."""
    refused = []
    tracked = tracker(refused.append, cooldown_seconds=5, maximum_seconds=5)
    track_span(tracked, (0.4, 0.3), at=1000)
    track_span(tracked, (0.1, 0.2), at=2000)
    track_span(tracked, (0.9, 0.0), at=3000)
    track_span(tracked, (0.8, 0.0), at=3400)
    track_span(tracked, *[(0.9, 0.0)] * 6, at=9000)
    reasons = [(each.reason, each.label, each.confidence, each.threshold) for each in refused]
    assert reasons[:3] == [
        ("below_threshold", "dog_bark", 0.4, 0.5),
        ("unknown", "siren", 0.2, 0.8),
        ("cooling_down", "dog_bark", 0.8, 0.5),
    ]
    assert {reason for reason, *_ in reasons[3:]} == {"maximum_duration"}
    assert refused[0].time == (1000 - 50 + LENGTH) / RATE


def test_no_event_starts_in_quiet_hours(berlin_time):
    """Quiet hours refuse starts, end no event early, and a sound that continues after them starts one."""
    refused = []
    tracked = tracker(refused.append, quiet_hours=["22:00-07:00"])
    evening, morning = (round(berlin_time(2026, 6, *clock) * RATE) for clock in ((1, 21, 59, 58), (2, 6, 59, 57)))
    earlier = track_span(tracked, *[(0.9, 0.0)] * 20, at=evening)
    assert [m.type for m in earlier] == ["start", "end"]
    assert earlier[1].end_time - earlier[0].start_time > 15
    assert track_span(tracked, *[(0.9, 0.0)] * 3, at=evening + 3600 * RATE) == []
    assert {each.reason for each in refused} == {"quiet_hours"}
    start, end = track_span(tracked, *[(0.9, 0.0)] * 20, at=morning)
    assert 0 <= start.start_time - (morning / RATE + 3) < 2
    assert end.type == "end"


def test_no_label_is_refused_during_an_event():
    """While the event of one label is active, the low score of another label is no refusal."""
    refused = []
    track_span(tracker(refused.append), *[(0.05, 0.9)] * 5)
    assert refused == []


def test_every_start_has_its_end():
    """For random scores, starts and ends alternate and share an id, so no state stays ON."""
    generator = np.random.default_rng(7)
    tracked = tracker(cooldown_seconds=0.5)
    for number in range(200):
        messages = track_span(
            tracked, *generator.dirichlet([0.4, 0.4, 0.4], size=generator.integers(1, 6))[:, :2], at=number * 997
        )
        assert [m.type for m in messages] == ["start", "end"] * (len(messages) // 2)
        for start, end in zip(messages[::2], messages[1::2], strict=True):
            assert start.event_id == end.event_id
            assert end.end_time >= start.start_time
