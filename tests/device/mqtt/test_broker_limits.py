"""Tests of delivery to a broker with limits, and of connections that it ends."""

import json
import logging

import pytest
from broker_support import EVENT, EVENTS, connected, event, numbers, publishing
from fake_broker import FakeBroker, Rule
from mqtt_packets import PUBLISH, packet
from support import wait_until

from device.mqtt.broker_limits import publish_bytes

PICTURE = "earshot/balcony/spectrogram"


@pytest.mark.parametrize("size", [0, 1, 100, 117, 118, 16_000, 16_371, 16_372, 100_000])
def test_the_size_of_a_packet_is_that_of_mqtt(size):
    """The computed size is the real one, at each length of the length field."""
    topic = "earshot/ü".encode()
    body = len(topic).to_bytes(2, "big") + topic + bytes(2) + bytes(1) + bytes(size)
    assert publish_bytes(topic.decode(), bytes(size)) == len(packet(PUBLISH, body))


def test_large_messages_are_reduced_or_left_out(tmp_path, caplog):
    """Within a limit of 400 bytes the picture is left out, health is reduced, an event has one score; each once."""
    with (
        FakeBroker(limits={"MaximumPacketSize": 400}) as broker,
        caplog.at_level(logging.WARNING),
        publishing(broker, tmp_path) as publisher,
    ):
        connected(publisher)
        for number in range(3):
            publisher.publish_state("spectrogram", bytes(9000), bytes(500))
            publisher.publish_state("health", "x" * 500, "small")
            publisher.send(event(number))
        assert publisher.wait_delivered(10) == 0
        wait_until(lambda: "earshot/balcony/health" in broker.retained, 10, "the reduced state")
        faults = publisher.status().faults
    assert broker.retained["earshot/balcony/health"].payload == b"small"
    assert PICTURE not in broker.retained
    assert numbers(broker) == [0, 1, 2]
    assert json.loads(broker.accepted(EVENT)[0].payload)["scores"] == {"siren": 0.9}
    assert broker.violations == []
    assert len(broker.connects) == 1
    assert any(f"messages on {PICTURE} are left out. Raise its largest packet size" in fault for fault in faults)
    assert any(f"messages on {EVENT} are reduced" in fault for fault in faults)
    assert len(caplog.messages) == len(set(caplog.messages)) == 3


def test_an_event_that_is_too_large_stays_in_the_outbox(tmp_path):
    """Within a limit of 100 bytes large events stay in the outbox, and a small one gets through."""
    with FakeBroker(limits={"MaximumPacketSize": 100}) as broker, publishing(broker, tmp_path) as publisher:
        connected(publisher)
        publisher.send(event(0) | {"more": "x" * 100})
        publisher.send({"number": 1})
        wait_until(lambda: numbers(broker) == [1], 10, "the small event")
        assert any("left out" in fault for fault in publisher.status().faults)
        broker.limits = {}
        broker.drop_connections()
        assert publisher.wait_delivered(10) == 0
        assert numbers(broker, EVENTS) == [1, 0]


@pytest.mark.parametrize("maximum", [1, 2, 3, 20])
def test_the_receive_maximum_is_obeyed(tmp_path, maximum):
    """However few messages may be in flight, and although states are never acknowledged, events get through."""
    rules = Rule(EVENTS), Rule("#", is_silent=True)
    with FakeBroker(*rules, limits={"ReceiveMaximum": maximum}) as broker, publishing(broker, tmp_path) as publisher:
        for number in range(30):
            publisher.publish_state(f"sound/{number}", "OFF")
        for number in range(30):
            publisher.send(event(number))
        assert publisher.wait_delivered(10) == 0
        broker.drop_connections()  # otherwise its silence delays the end
    assert broker.violations == []
    assert numbers(broker) == list(range(30))


def test_a_large_number_in_flight_is_used(tmp_path):
    """With `mqtt.in_flight` above 20, so many messages are in flight: no other queue is behind the outbox."""
    with (
        FakeBroker(Rule(EVENT, is_silent=True), levels=(4,)) as broker,
        publishing(broker, tmp_path, in_flight=100) as publisher,
    ):
        connected(publisher)
        for number in range(200):
            publisher.send(event(number))
        wait_until(lambda: len(broker.accepted(EVENT)) == 100, 10, "a hundred messages in flight")
        broker.drop_connections()  # otherwise its silence delays the end


@pytest.mark.parametrize("limits", [{"RetainAvailable": 0}, {"MaximumQoS": 0}, {"RetainAvailable": 0, "MaximumQoS": 0}])
def test_a_broker_without_retain_or_qos_is_supported(tmp_path, limits):
    """The will, the states and the events are sent as the broker allows, with one fault for each limit."""
    with FakeBroker(limits=limits) as broker:
        with publishing(broker, tmp_path) as publisher:
            publisher.publish_state("health", "{}")
            publisher.send(event(0))
            assert publisher.wait_delivered(10) == 0
            wait_until(lambda: broker.accepted("earshot/balcony/health"), 10, "the state")
            assert len(publisher.status().faults) == len(limits)
            publisher.retry_refused()
            again = 2 if "RetainAvailable" in limits else 1
            wait_until(lambda: len(broker.accepted("earshot/balcony/health")) == again, 10, "the state, sent again")
        wait_until(lambda: broker.accepted("earshot/balcony/status")[-1].payload == b"offline", 10, "the end")
    assert broker.violations == []
    (connect,) = broker.connects
    assert (connect.will.retain, connect.will.qos) == ("RetainAvailable" not in limits, "MaximumQoS" not in limits)


@pytest.mark.parametrize(("tells", "cure"), [(True, "passed the session"), (False, "Another device may have the same")])
def test_two_nodes_with_one_id_are_diagnosed(tmp_path, quick, caplog, tells, cure):
    """Two nodes that end each other's connections are told apart from other faults, with or without a reason."""
    (tmp_path / "other").mkdir()
    with (
        caplog.at_level(logging.WARNING),
        FakeBroker(tells_takeover=tells) as broker,
        publishing(broker, tmp_path) as publisher,
        publishing(broker, tmp_path / "other"),
    ):
        wait_until(lambda: cure in publisher.status().last_fault, 20, "the diagnosis")
    assert any(cure in message and "different node_id on each device" in message for message in caplog.messages)


def test_a_restart_of_the_broker_is_no_second_node(tmp_path, quick):
    """Connections that end with a message in flight, or with a reason, are not taken for a second node."""
    with FakeBroker(Rule("#", disconnects=True, code=0x8B)) as broker, publishing(broker, tmp_path) as publisher:
        wait_until(lambda: publisher.status().connections > 5, 20, "several connections")
        assert "Another device" not in publisher.status().last_fault
        assert publisher.status().faults == ()
