"""Tests of the first moments of a connection: the subscription to commands, then `online`, then all else."""

import time
from contextlib import contextmanager

import pytest
from broker_support import EVENT, connected, event
from fake_broker import DENIED, FakeBroker, Rule
from mqtt_packets import SUBSCRIBE
from support import wait_until

from device.config.models import MqttConfig
from device.mqtt import subscriptions
from device.mqtt.publisher import Publisher
from device.outbox.queue import Outbox

COMMANDS, STATUS = "earshot/balcony/command/#", "earshot/balcony/status"
DELAY_SECONDS = 0.5


@contextmanager
def node(broker, folder, handler=lambda *_: None):
    """Run a publisher with a handler of commands, as the daemon does."""
    config = MqttConfig(host="127.0.0.1", port=broker.port, live_seconds=3600)
    with Outbox(folder / "outbox.sqlite") as outbox, Publisher(config, None, "balcony", outbox) as publisher:
        publisher.subscribe_commands(handler)
        publisher.connect()
        yield publisher


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
    with FakeBroker(rule) as broker:
        with node(broker, tmp_path) as publisher:
            wait_until(lambda: online(broker), 10, "online")
            dropped = time.monotonic()
            broker.drop_connections()
            publisher.send(event(0))
            wait_until(lambda: received(broker, EVENT), 10, "the event")
            first, second = online(broker)
            assert first - started >= DELAY_SECONDS
            assert second - dropped >= DELAY_SECONDS
            assert received(broker, EVENT)[0].at >= second
        assert received(broker, STATUS)[-1].message.payload == b"offline"


@pytest.mark.parametrize("answer", [{"code": DENIED}, {"is_silent": True}])
def test_a_broker_without_that_answer_gets_online(tmp_path, quick, answer):
    """A refused subscription, a fault in health, or one without an answer keeps neither `online` nor events."""
    with FakeBroker(Rule(COMMANDS, to=SUBSCRIBE, **answer)) as broker, node(broker, tmp_path) as publisher:
        publisher.send(event(0))
        wait_until(lambda: online(broker), 10, "online")
        assert publisher.wait_delivered(10) == 0
        if "code" in answer:
            assert any("(Not authorized)" in fault for fault in publisher.status().faults)


def test_a_publisher_that_ends_early_is_offline(tmp_path):
    """A publisher that ends before the answer to its subscription publishes `offline` alone."""
    with FakeBroker(Rule(COMMANDS, to=SUBSCRIBE, is_silent=True)) as broker:
        with node(broker, tmp_path) as publisher:
            connected(publisher)
        assert [each.message.payload for each in received(broker, STATUS)] == [b"offline"]


def test_a_command_that_the_broker_has_kept_is_received(mosquitto, peer, tmp_path):
    """A command at QoS 1, sent between two runs, reaches the handler of the next run."""
    commands = []
    with node(mosquitto, tmp_path):
        peer.until(STATUS, b"online", 10)
    peer.until(STATUS, b"offline", 10)
    peer.publish("earshot/balcony/command/listening", b"OFF").wait_for_publish(5)
    with node(mosquitto, tmp_path, lambda *command: commands.append(command)):
        wait_until(lambda: commands == [("listening", b"OFF")], 10, "the command")
