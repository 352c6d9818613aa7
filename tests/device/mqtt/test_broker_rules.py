"""Tests of delivery to a broker that refuses, delays, ignores or disconnects, by topic."""

import logging
import time

import pytest
from broker_support import BACKLOG, EVENT, EVENTS, connected, event, numbers, publishing
from fake_broker import DENIED, QUOTA, FakeBroker, Rule
from mqtt_packets import SUBSCRIBE, Message
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from support import wait_until

from device.mqtt import delivery
from device.mqtt.connection_errors import describe_disconnect, describe_refusal
from device.mqtt.delivery_faults import describe_topic_refusal
from device.outbox.queue import Outbox
from device.util.clock import Stamp

STATES = {
    "sound/siren": "ON",
    "threshold/siren": "0.5",
    "spectrogram": b"\x89PNG" + bytes(3000),
    "health": "{}",
    "listening": "ON",
    "unknown/last": "Crow",
}
ANSWERS = {
    "refused": {"code": DENIED},
    "bad payload": {"code": 0x99},
    "silent": {"is_silent": True},
    "slow": {"delay": 2.0},
    "disconnects with a reason": {"disconnects": True, "code": QUOTA},
}
FAULTS = {
    "refused": "(Not authorized). Allow this user to publish it",
    "bad payload": "(Payload format invalid). Check the broker's rules",
    "silent": "does not acknowledge",
    "slow": "does not acknowledge",
    "disconnects with a reason": "the connection ended 3 times after a message on",
}


def faults_of(publisher, text):
    return [fault for fault in publisher.status().faults if text in fault]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("topic", ["#", "earshot/balcony/sound/siren"])
def test_no_answer_to_a_state_delays_an_event(tmp_path, quick, answer, topic):
    """Whatever the broker answers to states, events arrive in order, within a second while connected."""
    rules = [Rule(EVENT), Rule(BACKLOG), Rule(topic, **ANSWERS[answer])]
    with FakeBroker(*rules) as broker, publishing(broker, tmp_path, live_seconds=3600) as publisher:
        for name, payload in STATES.items():
            publisher.publish_state(name, payload)
        connected(publisher)
        for number in range(3):
            publisher.send(event(number))
        wait_until(lambda: numbers(broker) == [0, 1, 2], 10, "the events")
        fault = FAULTS[answer]
        wait_until(lambda: faults_of(publisher, fault), 20, "the fault in health")
        wait_until(lambda: publisher.status().connected, 10, "the connection")
        started = time.monotonic()
        publisher.send(event(3))
        wait_until(lambda: 3 in numbers(broker), 10, "the last event")
        if "disconnects" not in answer:
            assert time.monotonic() - started < 1
        broker.drop_connections()  # otherwise its silence delays the end
    assert numbers(broker) == [0, 1, 2, 3]
    assert broker.violations == []


@pytest.mark.parametrize("answer", ["refused", "bad payload", "silent", "disconnects with a reason"])
@pytest.mark.parametrize(("topic", "other"), [(EVENT, BACKLOG), (BACKLOG, EVENT)])
def test_no_answer_to_one_topic_of_events_stops_the_other(tmp_path, quick, answer, topic, other):
    """While the broker accepts no live events they arrive late; while it accepts no late ones live ones arrive."""
    rule = Rule(topic, **ANSWERS[answer])
    with FakeBroker(rule) as broker, publishing(broker, tmp_path, live_seconds=0.6) as publisher:
        connected(publisher)
        broker.rules = [Rule(EVENTS, code=DENIED)]
        publisher.send(event(0))
        time.sleep(0.8)  # now it is late
        broker.rules = [rule]
        publisher.send(event(1))
        wait_until(lambda: numbers(broker, other), 20, "the event on the other topic")
        wait_until(lambda: any(topic in fault for fault in publisher.status().faults), 10, "the fault in health")
        broker.rules = []
        publisher.retry_refused()
        wait_until(lambda: set(numbers(broker, EVENTS)) == {0, 1}, 20, "all events")
        assert publisher.wait_delivered(10) == 0
    assert broker.violations == []


def test_a_refused_state_is_sent_again_with_the_next_health_message(tmp_path, quick, caplog):
    """A refused topic is logged once, and its last value arrives when the rules have changed, in one connection."""
    rule = Rule("earshot/balcony/sound/+", code=DENIED)
    with FakeBroker(rule) as broker, caplog.at_level(logging.WARNING), publishing(broker, tmp_path) as publisher:
        for label in ("siren", "dog_bark"):
            publisher.publish_state(f"sound/{label}", "OFF")
        wait_until(lambda: publisher.status().faults, 10, "the fault in health")
        publisher.publish_state("sound/siren", "ON")
        wait_until(lambda: len(broker.received) >= 4, 10, "both values")
        (fault,) = publisher.status().faults
        assert "earshot/balcony/sound/+ (Not authorized)" in fault
        assert caplog.messages == [fault]
        rule.times = 0
        publisher.retry_refused()
        wait_until(lambda: not publisher.status().faults, 10, "the end of the fault")
        assert broker.retained["earshot/balcony/sound/siren"].payload == b"ON"
        assert broker.retained["earshot/balcony/sound/dog_bark"].payload == b"OFF"
        assert len(broker.connects) == 1


def test_a_state_without_an_acknowledgement_is_sent_once_more_at_qos_0(tmp_path, quick):
    """A topic without acknowledgements remains a fault, and each later value is sent once, without asking for one."""
    topic = "earshot/balcony/health"
    with FakeBroker(Rule("#", is_silent=True)) as broker, publishing(broker, tmp_path) as publisher:
        publisher.publish_state("health", "1")
        wait_until(lambda: faults_of(publisher, topic), 10, "the fault in health")
        publisher.publish_state("health", "2")
        time.sleep(0.5)
        messages = [(message.payload, message.qos) for message in broker.accepted(topic)]
        assert messages == [(b"1", 1), (b"1", 0), (b"2", 0)]
        assert faults_of(publisher, topic)
        assert publisher.status().acknowledged_seconds_ago is None


@pytest.mark.parametrize(("code", "cure"), [(DENIED, "to subscribe to it"), (0xA2, "wildcards"), (0x80, "(Un")])
def test_a_refused_subscription_is_reported_and_tried_again(tmp_path, code, cure):
    """A refused subscription is a fault in health; it is made again with the next health message."""
    rule, commands = Rule("earshot/balcony/command/#", code=code, to=SUBSCRIBE), []
    with FakeBroker(rule) as broker, publishing(broker, tmp_path) as publisher:
        publisher.subscribe_commands(lambda name, _payload: commands.append(name))
        wait_until(lambda: faults_of(publisher, cure), 10, "the fault in health")
        assert faults_of(publisher, "the subscription to earshot/balcony/command/#")
        rule.times = 0
        publisher.retry_refused()
        wait_until(lambda: not publisher.status().faults, 10, "the end of the fault")
        broker.distribute(Message("earshot/balcony/command/listening", b"ON"))
        wait_until(lambda: commands == ["listening"], 10, "the command")


def test_a_subscription_without_an_answer_is_reported(tmp_path, quick):
    """A broker that does not answer a subscription in time is a fault at a later health message, not at once."""
    with FakeBroker(Rule("#", is_silent=True, to=SUBSCRIBE)) as broker, publishing(broker, tmp_path) as publisher:
        publisher.subscribe("homeassistant/status", print)
        connected(publisher)
        publisher.retry_refused()
        publisher.send(event(0))
        assert publisher.wait_delivered(10) == 0
        assert publisher.status().faults == ()
        wait_until(lambda: publisher.retry_refused() or publisher.status().faults, 10, "the fault in health")
        assert faults_of(publisher, "does not answer the subscription to homeassistant/status")


def test_a_refused_event_arrives_before_later_ones(tmp_path, quick):
    """Events that the broker refuses now and then arrive in order; a message with bad content is passed."""
    with FakeBroker(Rule(EVENT, code=QUOTA, times=3)) as broker, publishing(broker, tmp_path) as publisher:
        connected(publisher)
        for number in range(30):
            publisher.send(event(number))
        assert publisher.wait_delivered(20) == 0
        assert numbers(broker) == list(range(30))
        broker.rules = [Rule(EVENT, code=0x99, times=1)]
        for number in range(30, 33):
            publisher.send(event(number))
        wait_until(lambda: numbers(broker)[-2:] == [31, 32], 10, "the later events")
        publisher.retry_refused()
        assert publisher.wait_delivered(10) == 0
        assert numbers(broker)[-1] == 30


def test_late_messages_stay_late_when_new_ones_get_other_numbers(tmp_path, quick, monkeypatch):
    """If the outbox of an earlier run was away at the start, its messages go to the backlog once it is back."""
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.1)
    folder, away = tmp_path / "state", tmp_path / "away"
    with Outbox(folder / "outbox.sqlite") as outbox:
        for number in range(3):
            outbox.append(event(number), Stamp(0.0, 0.0))
    folder.rename(away)
    folder.write_text("no folder")
    with FakeBroker() as broker, publishing(broker, folder) as publisher:
        publisher.send(event(3))
        wait_until(lambda: numbers(broker) == [3], 10, "the new event")
        folder.unlink()
        away.rename(folder)
        wait_until(lambda: len(numbers(broker, EVENTS)) == 4, 10, "the earlier events")
        assert numbers(broker, BACKLOG) == [0, 1, 2]
        publisher.send(event(4))
        assert publisher.wait_delivered(10) == 0
        assert numbers(broker) == [3, 4]


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (QUOTA, "(Quota exceeded). Raise the broker's quota"),
        (0x80, "(Unspecified error). Allow this user to publish it in the broker's access rules"),
        (0x90, "(Topic name invalid). Allow this user"),
    ],
)
def test_each_reason_has_its_own_cure(code, cure):
    """An exceeded quota is no matter of access rules: in a refused message, a refused connection, and its end."""
    reason = ReasonCode(PacketTypes.PUBACK, identifier=code)
    assert cure in describe_topic_refusal("messages on", EVENT, reason)
    if code == QUOTA:
        assert cure in describe_refusal(ReasonCode(PacketTypes.CONNACK, identifier=code))
        assert cure in describe_disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=code))
