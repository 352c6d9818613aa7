"""Tests of sounds that must last: events of one label with short pauses between them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.config.models import NotifyConfig, NotifyRule
from device.mqtt.subscriber import Received
from device.notify.notifier import Notifier
from device.notify.rules import RuleBook

DOG = {"labels": ["dog_bark"], "lasting_seconds": 600, "pause_seconds": 120, "cooldown_seconds": 0}


class Barks:
    """Dog that barks at a notifier.

    Attributes:
        sent: the texts of the notifications.
    """

    broker, is_connected = "broker localhost:1883", True

    def __init__(self, rules, times, make_message):
        self.sent, self._times, self._make_message, self._count = [], times, make_message, 0
        config = NotifyConfig.model_validate({"rules": rules})
        self._notifier = Notifier(config, self, self._send, lambda: times.steady, lambda: times.unix)

    def bark(self, seconds=1.0, **more):
        """Bark for some seconds; return the number of notifications until now."""
        started = self._make_message("start", str(self._count), label="dog_bark", **more)
        self.receive("event", started)
        self.wait(seconds)
        ended = self._make_message("end", str(self._count), label="dog_bark", duration_seconds=seconds, **more)
        self.receive("event", ended | {"start_time": started["start_time"]})
        self._count += 1
        return len(self.sent)

    def bark_for(self, seconds, pause):
        """Bark once a pause, for at least this time; return the number of notifications until now."""
        end = self._times.steady + seconds
        while self._times.steady < end:
            self.bark()
            self.wait(pause)
        return len(self.sent)

    def wait(self, seconds):
        """Let time pass; the notifier acts every 5 s."""
        while seconds > 0:
            step = min(seconds, 5)
            self._times.move(step)
            self._notifier.step(None)
            seconds -= step

    def receive(self, topic, content, is_retained=False):
        """Deliver a message of the node `balcony`."""
        payload = json.dumps(content).encode() if isinstance(content, dict) else content
        self._notifier.step(Received(f"earshot/balcony/{topic}", payload, is_retained))

    def _send(self, text, names):
        self.sent.append(text)


@pytest.fixture
def make_dog(times, make_message):
    """Return a function that makes a dog from rules."""
    return lambda *rules: Barks(rules, times, make_message)


def test_a_dog_that_barks_with_short_pauses_for_ten_minutes_fires(make_dog, times):
    """Many short barks are one sound: the first bark after ten minutes is notified of, with the time of the start."""
    dog = make_dog(DOG)
    assert dog.bark_for(599, pause=29) == 0
    dog.bark()
    (text,) = dog.sent
    assert text.title == "Dog bark (balcony)"
    assert text.body.startswith("Started at 23:30:00, and has lasted for more than 600 s.")


def test_it_fires_again_while_the_dog_goes_on(make_dog):
    """After a notification the next bark begins another sound, so one follows each ten minutes, as in the blueprint."""
    assert make_dog(DOG).bark_for(1900, pause=29) == 3
    assert make_dog(DOG | {"cooldown_seconds": 3600}).bark_for(1900, pause=29) == 1


@pytest.mark.parametrize(("pause", "fires"), [(119, True), (120, True), (121, False)])
def test_a_longer_pause_begins_the_time_anew(make_dog, pause, fires):
    """A pause up to `pause_seconds` does not interrupt; a longer one does."""
    dog = make_dog(DOG)
    dog.bark_for(400, pause=19)
    dog.wait(pause - 19)  # the last bark was followed by a pause already
    assert bool(dog.bark_for(200, pause=19)) == fires


def test_a_dog_that_has_stopped_does_not_fire_in_its_pause(make_dog):
    """A sound that ends before ten minutes has no notification, though the last pause reaches beyond them."""
    dog = make_dog(DOG)
    dog.bark_for(590, pause=19)
    dog.wait(600)
    assert dog.sent == []


def test_a_long_event_fires_while_it_lasts(make_dog):
    """One event without pauses fires at the duration, once, as without `pause_seconds`."""
    assert make_dog(DOG | {"lasting_seconds": 30}).bark(40) == 1
    assert make_dog(DOG | {"lasting_seconds": 30}).bark(30.5, confidence=0.2) == 1
    assert make_dog(DOG | {"lasting_seconds": 30}).bark(29) == 0


def test_without_a_pause_each_event_is_a_sound_of_its_own(make_dog):
    """The default counts no pauses: short barks never add up."""
    assert make_dog({"labels": ["dog_bark"], "lasting_seconds": 10}).bark_for(100, pause=1) == 0


def test_labels_and_nodes_are_timed_apart_and_weak_events_do_not_count(make_dog, make_message):
    """Another label ends no pause, and neither does an event below the confidence of the rule."""
    dog = make_dog(DOG | {"labels": [], "confidence": 0.8})
    for _ in range(5):
        dog.bark()
        dog.wait(100)
        dog.bark(confidence=0.5)
        dog.receive("event", make_message("start", "s", label="siren"))
        dog.receive("event", make_message("end", "s", label="siren", duration_seconds=1))
        dog.wait(100)
    assert dog.sent == []


@pytest.mark.parametrize(("away", "fires"), [(30, True), (130, False)])
def test_a_short_loss_of_the_connection_does_not_interrupt(make_dog, make_message, away, fires):
    """A retained OFF, or a node that is offline, ends the bark; the pause is measured from its start."""
    for topic, payload in (("sound/dog_bark", b"OFF"), ("status", b"offline")):
        dog = make_dog(DOG)
        dog.bark_for(300, pause=19)
        dog.receive("event", make_message("start", "lost", label="dog_bark"))
        dog.wait(away)
        dog.receive(topic, payload, is_retained=True)
        assert bool(dog.bark_for(300, pause=19)) == fires


def test_late_events_are_one_sound_by_their_own_times(make_dog, make_message, times):
    """Late barks with short pauses between their own times fire once, if the rule admits late events."""
    dogs = [make_dog(DOG | {"late": True}), make_dog(DOG), make_dog(DOG | {"late": True, "pause_seconds": 10})]
    ends = []
    for number in range(25):
        times.move(30)
        ends.append(make_message("end", str(number), label="dog_bark", duration_seconds=2.0, replayed=True))
    times.move(4 * 3600)
    for end in ends:
        for dog in dogs:
            dog.receive("event/backlog", end)
    assert [len(dog.sent) for dog in dogs] == [1, 0, 0]
    assert dogs[0].sent[0].body.startswith("Started at 2026-11-27 23:30:30, lasted for more than 600 s")


_STEPS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=60)


@settings(max_examples=60)
@given(_STEPS, st.integers(1, 60), st.integers(1, 300))
def test_an_alert_means_that_the_sound_has_lasted(steps, pause, lasting):
    """An alert comes exactly when barks with pauses up to the limit have reached the duration."""
    now = [0]
    book = RuleBook([NotifyRule(lasting_seconds=lasting, pause_seconds=pause, cooldown_seconds=0)], lambda: now[0])
    began, ended = 0, -1e9
    for number, (quiet, loud) in enumerate(steps):
        now[0] += quiet
        began = began if now[0] - ended <= pause else now[0]
        message = {"event_id": str(number), "label": "dog_bark", "confidence": 1}
        alerts = book.judge("balcony", message | {"type": "start"}, is_late=False) + book.due()
        now[0] += loud
        end = message | {"type": "end", "duration_seconds": loud}
        alerts += book.due() + book.judge("balcony", end, is_late=False)
        ended = now[0]
        assert len(alerts) <= 1
        assert bool(alerts) == (ended - began >= lasting)
        ended = -1e9 if alerts else ended  # the next bark begins another sound
