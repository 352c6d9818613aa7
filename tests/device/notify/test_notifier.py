"""Tests of the notifier: outages, texts, labels, and messages of any form."""

import json
import logging
import threading

import pytest

from device.config.models import NotifyConfig
from device.mqtt.subscriber import Received
from device.notify.notifier import Notifier


class FakeBroker:
    """Broker whose messages the test makes."""

    broker = "broker localhost:1883"
    is_connected = True


@pytest.fixture
def make_notifier(times):
    """Return a function that makes a notifier, its broker, and the list of what it has sent."""

    def make(**config):
        broker, sent = FakeBroker(), []
        model = NotifyConfig.model_validate(config)
        notifier = Notifier(
            model, broker, lambda text, names: sent.append(text), lambda: times.steady, lambda: times.unix
        )
        return notifier, broker, sent

    return make


def received(topic, content, is_retained=False):
    """Return a message of the node `balcony`."""
    payload = json.dumps(content).encode() if isinstance(content, dict) else content
    return Received(f"earshot/balcony/{topic}", payload, is_retained)


@pytest.mark.parametrize(
    ("language", "title", "body"),
    [
        ("en", "Dog bark (balcony)", "Started at 23:30:00. Confidence: 94 %. Sound level: 61 dB(A)."),
        ("de", "Hundegebell (balcony)", "Begann um 23:30:00. Sicherheit: 94 %. Schallpegel: 61 dB(A)."),
    ],
)
def test_a_notification_has_label_time_and_confidence_in_words(make_notifier, make_message, language, title, body):
    """Title and body are in the user's language, with local time."""
    notifier, _, sent = make_notifier(rules=[{}], language=language)
    notifier.step(
        received("event", make_message(label="dog_bark", confidence=0.94, laeq_db=61.4, level_calibrated=True))
    )
    assert [(text.title, text.body) for text in sent] == [(title, body)]


def test_late_messages_do_not_notify(make_notifier, make_message, times):
    """A late message has a notification only if the rule admits it, with the date of another day."""
    notifier, _, sent = make_notifier(rules=[{}])
    notifier.step(received("event/backlog", make_message(replayed=True)))
    notifier.step(received("event", make_message(replayed=True)))
    assert sent == []
    notifier, _, sent = make_notifier(rules=[{"late": True, "lasting_seconds": 30}])
    end = make_message("end", replayed=True, duration_seconds=31)
    times.move(3600)
    notifier.step(received("event/backlog", end))
    (text,) = sent
    assert text.body.startswith("Started at 2026-11-27 23:30:00, lasted for more than 30 s, and was reported late.")


def test_a_sensor_that_stays_offline_is_reported_once_and_its_return_too(make_notifier, times):
    """Nothing is sent of a short absence, of a node that was deleted, or without `offline_minutes`."""
    notifier, _, sent = make_notifier(offline_minutes=5)
    notifier.step(received("status", b"offline", is_retained=True))
    times.move(299)
    notifier.step(received("status", b"online"))
    times.move(600)
    notifier.step(None)
    assert sent == []
    notifier.step(received("status", b"offline"))
    for _ in range(3):
        times.move(300)
        notifier.step(received("status", b"offline"))
    notifier.step(received("status", b"online"))
    assert [text.title for text in sent] == ["Earshot is offline (balcony)", "Earshot is online again (balcony)"]
    notifier.step(received("status", b"offline"))
    notifier.step(received("status", b""))
    silent, _, of_silent = make_notifier(rules=[{}])
    silent.step(received("status", b"offline"))
    times.move(3600)
    notifier.step(None)
    silent.step(None)
    assert (len(sent), of_silent) == (2, [])


def test_a_broker_that_stays_away_is_reported(make_notifier, times):
    """Without the broker no event arrives, so its absence is reported like that of a sensor."""
    notifier, broker, sent = make_notifier(offline_minutes=5, language="de")
    broker.is_connected = False
    notifier.step(None)
    times.move(300)
    notifier.step(None)
    broker.is_connected = True
    notifier.step(None)
    assert [text.title for text in sent] == ["Earshot empfängt keine Ereignisse", "Earshot empfängt wieder Ereignisse"]
    assert sent[0].urgency == "warning"


def test_a_sound_that_ended_while_the_broker_was_away_does_not_notify(make_notifier, make_message, times):
    """After a new connection, the retained state of a label cancels the timer of its sound; a live one does not."""
    for is_retained, count in ((True, 0), (False, 1)):
        notifier, _, sent = make_notifier(rules=[{"lasting_seconds": 30}])
        notifier.step(received("event", make_message()))
        notifier.step(received("sound/siren", b"OFF", is_retained))
        times.move(30)
        notifier.step(None)
        assert len(sent) == count


def test_a_label_that_no_node_has_is_logged_once(make_notifier, times, caplog):
    """A typing error in a rule is logged with the label that was probably meant."""
    caplog.set_level(logging.WARNING)
    notifier, _, _ = make_notifier(rules=[{"labels": ["siren", "Doorbell"]}, {"labels": ["dogbark"]}])
    for slug in ("siren", "audioset_doorbell", "dog_bark"):
        notifier.step(received(f"sound/{slug}", b"OFF", is_retained=True))
    for _ in range(3):
        times.move(10)
        notifier.step(None)
    assert [record.getMessage() for record in caplog.records] == [
        "notify.rules.1.labels: no node has dogbark now. Did you mean dog_bark?"
    ]


def test_a_signal_ends_the_notifier(make_notifier):
    """The notifier returns when it is asked to stop."""
    notifier, broker, _ = make_notifier(rules=[{}])
    stopping = threading.Event()

    def receive(_seconds):
        stopping.set()

    broker.receive = receive
    notifier.run(stopping)
