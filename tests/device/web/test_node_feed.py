"""Tests of the node feed: faults of its connection, the commands that it sends, the messages that it counts."""

import json

import paho.mqtt.client as paho
import pytest
from fake_broker import FakeBroker, Rule
from support import free_port, wait_until

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.client_factory import LARGEST_PACKET
from device.web.node_feed import NodeFeed


def make_feed(port, **mqtt):
    """Return a feed of the node `test`, which is not connected yet."""
    return NodeFeed(MqttConfig(port=port, **mqtt), None, "test")


def test_a_connection_that_fails_has_a_reason(mosquitto):
    """The feed gives the reason of a failed connection to a broker that is there, and none for one that is away."""
    with make_feed(mosquitto.port, transport="websockets") as feed, make_feed(free_port()) as away:
        wait_until(lambda: feed.fault, 15, "the fault")
        assert "Check mqtt.port, mqtt.transport" in feed.fault
        assert (away.fault, feed.is_connected, away.is_connected) == ("", False, False)


@pytest.mark.parametrize("level", [4, 5])
def test_a_broker_of_one_version_is_enough(level):
    """The feed connects to a broker that accepts MQTT 3.1.1 or MQTT 5 alone, and is disconnected when it ends."""
    with FakeBroker(levels=(level,)) as broker, make_feed(broker.port) as feed:
        wait_until(lambda: "earshot/test/health" in broker.subscribed(), 15, "the subscriptions")
        assert (feed.is_connected, feed.fault) == (True, "")
        broker.drop_connections()
        wait_until(lambda: not feed.is_connected, 15, "the end of the connection")
        assert feed.fault == ""


def test_a_command_that_failed_is_not_sent_later(monkeypatch):
    """A command that the broker did not acknowledge fails, and the next connection does not send it."""
    monkeypatch.setattr("device.web.node_feed._SEND_SECONDS", 1.0)
    topic = "earshot/test/command/listening"
    with FakeBroker(Rule(topic, disconnects=True)) as broker, make_feed(broker.port) as feed:
        wait_until(lambda: feed.is_connected, 15, "the connection")
        with pytest.raises(UnavailableError):
            feed.send_command("listening", "OFF")
        wait_until(lambda: len(broker.connects) == 2 and broker.subscribed(), 15, "the next connection")
        feed.send_command("threshold/siren", "0.5")
        assert [each.message.topic for each in broker.received] == [topic, "earshot/test/command/threshold/siren"]


def test_a_message_is_counted_once():
    """An event counts when it starts; a payload that is too long is neither kept nor counted."""
    feed = make_feed(1)
    start = json.dumps({"type": "start", "label": "siren"}).encode()
    for payload in (start, start.replace(b"start", b"end"), start, b" " * LARGEST_PACKET + start, b""):
        message = paho.MQTTMessage(topic=b"earshot/test/event")
        message.payload = payload
        feed.on_message(message)
    assert feed.events() == {"siren": 2}
    assert feed.message("event") == {}
