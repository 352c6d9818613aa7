"""Tests of the rules of notifications."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.config.models import NotifyRule
from device.mqtt.subscriber import parse_message
from device.notify.rules import RuleBook


@pytest.fixture
def make_book(times):
    """Return a function that makes the rules from the keys of each."""

    def make(*rules):
        models = [NotifyRule.model_validate(rule) for rule in rules]
        return RuleBook(models, lambda: times.steady, lambda: times.unix)

    return make


def judge(book, message, node="balcony", is_late=False):
    """Return the labels of the alerts of a message."""
    return [alert.label for alert in book.judge(node, message, is_late=is_late)]


@pytest.mark.parametrize(
    ("rule", "more", "fires"),
    [
        ({}, {}, True),
        ({"labels": ["siren"]}, {}, True),
        ({"labels": ["dog_bark"]}, {}, False),
        ({"labels": ["Smoke detector, smoke alarm"]}, {"label": "Smoke detector, smoke alarm"}, True),
        ({"labels": ["smoke_detector_smoke_alarm"]}, {"label": "Smoke detector, smoke alarm"}, True),
        ({"labels": ["狗"]}, {"label": "狗"}, True),
        ({"labels": ["狗"]}, {"label": "猫"}, False),
        ({"nodes": ["garden"]}, {}, False),
        ({"nodes": ["garden", "balcony"]}, {}, True),
        ({"confidence": 0.9}, {}, True),
        ({"confidence": 0.91}, {}, False),
        ({"confidence": 0.5}, {"confidence": "high"}, False),
        ({"hours": ["22:00-07:00"]}, {}, True),
        ({"hours": ["07:00-23:30"]}, {}, False),
        ({}, {"type": "end", "duration_seconds": 3}, False),
        ({}, {"label": ""}, False),
        ({}, {"event_id": None}, False),
    ],
)
def test_each_key_narrows_a_rule(make_book, make_message, rule, more, fires):
    """A rule applies to the start of an event if label, node, confidence and hours apply."""
    assert bool(judge(make_book(rule), make_message(**more))) == fires


def test_hours_go_by_the_local_clock_after_midnight_and_in_summer(make_book, make_message, times, berlin_time):
    """A span over midnight holds until its end, by the clock of the season."""
    book = make_book({"hours": ["22:00-07:00"], "cooldown_seconds": 0})
    for moment, fires in (((2026, 11, 28, 6, 59), True), ((2026, 7, 1, 6, 59), True), ((2026, 7, 1, 7, 0), False)):
        times.unix = berlin_time(*moment)
        assert bool(judge(book, make_message())) == fires


def test_a_rule_cools_down_for_each_label_and_node(make_book, make_message, times):
    """After a notification the rule sends none for the label and node until the cool-down is over."""
    book = make_book({"cooldown_seconds": 60})
    assert judge(book, make_message())
    times.move(59)
    assert not judge(book, make_message())
    assert judge(book, make_message(label="dog_bark"))
    assert judge(book, make_message(), node="garden")
    times.move(1)
    assert judge(book, make_message())


def test_a_message_counts_once(make_book, make_message):
    """A message that is delivered twice has one alert, without a cool-down too."""
    book, message = make_book({"cooldown_seconds": 0, "late": True}), make_message()
    assert judge(book, message)
    assert not judge(book, message | {"replayed": True}, is_late=True)


def test_a_lasting_sound_fires_while_it_lasts(make_book, make_message, times):
    """The alert is due when the duration is exceeded, and comes once."""
    book = make_book({"lasting_seconds": 30})
    assert not judge(book, make_message())
    times.move(29)
    assert book.due() == []
    assert book.next_due() == pytest.approx(30)
    times.move(1)
    (alert,) = book.due()
    assert (alert.label, alert.lasting_seconds) == ("siren", 30)
    assert (book.due(), book.next_due()) == ([], None)
    assert not judge(book, make_message("end", duration_seconds=40))


def test_the_end_of_a_sound_cancels_its_timer(make_book, make_message, times):
    """A sound that ends in time has no alert; one that was longer, and whose end is known first, has."""
    book = make_book({"lasting_seconds": 30, "cooldown_seconds": 0})
    for seconds, fires in ((20, False), (30, False), (30.5, True)):
        judge(book, make_message())
        times.move(28)
        assert bool(judge(book, make_message("end", duration_seconds=seconds))) == fires
        times.move(60)
        assert book.due() == []


def test_a_sound_without_an_end_is_forgotten(make_book, make_message, times):
    """A node that goes offline, and a state that is OFF, cancel the timers of their own sounds alone."""
    for node, slug, remain in (("balcony", None, 0), ("garden", None, 1), ("balcony", "siren", 0), ("balcony", "x", 1)):
        book = make_book({"lasting_seconds": 30})
        judge(book, make_message())
        book.end_unreported(node, slug)
        times.move(30)
        assert len(book.due()) == remain


def test_a_late_message_has_no_alert_unless_the_rule_admits_it(make_book, make_message, times):
    """A late start fires only with `late`, and is judged at the hours of its own time; a lasting one by its end."""
    night = make_message()
    times.move(9 * 3600)
    rules = [{"late": False}, {"late": True, "hours": ["22:00-07:00"]}, {"late": True, "lasting_seconds": 30}]
    counts = [len(judge(make_book(rule), night, is_late=True)) for rule in rules]
    assert counts == [0, 1, 0]
    end = make_message("end", duration_seconds=31)
    assert [len(judge(make_book(rule), end, is_late=True)) for rule in rules] == [0, 0, 1]


def test_two_rules_for_one_sound_send_one_notification(make_book, make_message):
    """Of several rules that apply, the services of all are notified, each once."""
    message = make_message()
    named = make_book({"services": ["phone"]}, {"services": ["mail", "phone"]})
    assert [alert.services for alert in named.judge("balcony", message, is_late=False)] == [("mail", "phone")]
    of_all = make_book({"services": ["phone"]}, {})
    assert [alert.services for alert in of_all.judge("balcony", message, is_late=False)] == [()]


_JSON = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
_KEYS = st.sampled_from(["id", "event_id", "type", "label", "confidence", "start_time", "duration_seconds", "laeq_db"])


@settings(max_examples=40)
@given(st.lists(st.dictionaries(_KEYS, _JSON | st.sampled_from(["start", "end", "siren"])), max_size=5))
def test_any_message_is_survived(messages):
    """Fields that are missing or of another type never raise an error."""
    book = RuleBook([NotifyRule(late=True), NotifyRule(lasting_seconds=1)])
    for message in messages:
        for is_late in (False, True):
            book.judge("balcony", parse_message(json.dumps(message).encode()), is_late=is_late)
