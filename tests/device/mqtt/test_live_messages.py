"""Tests of the delivery of live values: now or never, and no harm to anything else."""

import time

from broker_support import connected, event, publishing
from fake_broker import DENIED, FakeBroker, Rule
from support import wait_until

from device.mqtt import suspects

LIVE, HEALTH = "earshot/balcony/live", "earshot/balcony/health"


def test_live_values_are_sent_now_or_never(mosquitto, peer, tmp_path):
    """Live values arrive at QoS 0, not retained; those made while the broker is away are dropped."""
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.publish_live(b"too early")
        wait_until(lambda: publisher.status().connected, 10, "the connection")
        wait_until(lambda: publisher.publish_live(b"one") or peer.last(LIVE) == b"one", 5, "live values")
        mosquitto.stop()
        wait_until(lambda: not publisher.status().connected, 10, "the end of the connection")
        publisher.publish_live(b"while away")
        mosquitto.start()
        wait_until(lambda: publisher.status().connected, 20, "the next connection")
        publisher.publish_state("health", "end")
        peer.until(HEALTH, b"end", 20)
        wait_until(lambda: publisher.publish_live(b"two") or peer.last(LIVE) == b"two", 10, "later live values")
    assert set(peer.payloads(LIVE)) - {b"too early"} == {b"one", b"two"}
    message = next(message for message in peer.messages if message.topic == LIVE)
    assert (message.qos, message.retain) == (0, False)


def test_a_slow_broker_gets_no_old_live_values(mosquitto, tmp_path):
    """Live values are dropped, and do not pile up, while the last ones wait for a broker that reads nothing."""
    with publishing(mosquitto, tmp_path) as publisher:
        wait_until(lambda: publisher.status().connected, 10, "the connection")
        mosquitto.freeze()
        for _ in range(200):
            publisher.publish_live(bytes(60_000))
            time.sleep(0.005)
        waiting = publisher._connection._client._out_packet
        assert sum(len(packet["packet"]) for packet in waiting) < 200_000
        mosquitto.kill()


def test_live_values_that_end_connections_are_left_out(tmp_path, quick, monkeypatch):
    """A broker that ends the connection at live values gets none for a while; the connection and events remain."""
    monkeypatch.setattr(suspects, "_FIRST_HOLD_SECONDS", 60.0)
    rule = Rule(LIVE, disconnects=True, code=DENIED)
    with FakeBroker(rule) as broker, publishing(broker, tmp_path) as publisher:
        wait_until(lambda: publisher.publish_live(b"{}") or publisher.status().faults, 20, "the fault in health")
        (fault,) = publisher.status().faults
        assert f"after a message on {LIVE}" in fault
        connected(publisher)
        publisher.send(event(0))
        assert publisher.wait_delivered(10) == 0
        connections = publisher.status().connections
        for _ in range(10):
            publisher.publish_live(b"{}")
            time.sleep(0.05)
        publisher.send(event(1))
        assert publisher.wait_delivered(10) == 0
        assert publisher.status().connections == connections
