"""Tests of the status `online`: it follows the broker's answer to the subscription to commands."""

import time

import pytest
from broker_support import EVENT, connected, event, publishing
from fake_broker import DENIED, FakeBroker, Rule
from mqtt_packets import SUBSCRIBE
from support import wait_until

from device.mqtt import subscriptions

COMMANDS, STATUS = "earshot/balcony/command/#", "earshot/balcony/status"
DELAY_SECONDS = 0.5


def received(broker, topic):
    """Return the messages of a topic with their times, in their order."""
    with broker.lock:
        return [each for each in broker.received if each.message.topic == topic]


def online(broker):
    """Return the times at which `online` arrived, monotonic s."""
    return [each.at for each in received(broker, STATUS) if each.message.payload == b"online"]


def test_online_follows_the_subscription_at_each_connection(tmp_path, quick, monkeypatch):
    """`online` comes after the answer to the subscription and before events, at the first connection and the next."""
    monkeypatch.setattr(subscriptions, "_WAIT_SECONDS", 30.0)
    rule, started = Rule(COMMANDS, delay=DELAY_SECONDS, to=SUBSCRIBE), time.monotonic()
    with FakeBroker(rule) as broker, publishing(broker, tmp_path, live_seconds=3600) as publisher:
        connected(publisher)
        publisher.publish_state("health", "{}")
        wait_until(lambda: received(broker, "earshot/balcony/health"), 10, "a state before any subscription")
        assert online(broker) == []
        publisher.subscribe_commands(lambda *_: None)
        wait_until(lambda: online(broker), 10, "online")
        assert online(broker)[0] - started >= DELAY_SECONDS
        dropped = time.monotonic()
        broker.drop_connections()
        publisher.send(event(0))
        wait_until(lambda: received(broker, EVENT), 10, "the event")
        first, second = online(broker)
        assert second - dropped >= DELAY_SECONDS
        assert received(broker, EVENT)[0].at >= second > first
    assert received(broker, STATUS)[-1].message.payload == b"offline"


@pytest.mark.parametrize("answer", [{"code": DENIED}, {"is_silent": True}])
def test_a_broker_without_that_answer_gets_online(tmp_path, quick, answer):
    """A refused subscription, a fault in health, or one without an answer keeps neither `online` nor events."""
    with FakeBroker(Rule(COMMANDS, to=SUBSCRIBE, **answer)) as broker, publishing(broker, tmp_path) as publisher:
        publisher.subscribe_commands(lambda *_: None)
        publisher.send(event(0))
        wait_until(lambda: online(broker), 10, "online")
        assert publisher.wait_delivered(10) == 0
        if "code" in answer:
            assert any("(Not authorized)" in fault for fault in publisher.status().faults)


def test_a_publisher_that_ends_early_is_offline(tmp_path):
    """A publisher that ends before the answer to its subscription publishes `offline` alone."""
    with FakeBroker(Rule(COMMANDS, to=SUBSCRIBE, is_silent=True)) as broker:
        with publishing(broker, tmp_path) as publisher:
            connected(publisher)
            publisher.subscribe_commands(lambda *_: None)
        assert [each.message.payload for each in received(broker, STATUS)] == [b"offline"]
