import logging
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from support import Peer, wait_until

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.publisher import Publisher
from device.mqtt.subscriber import Subscriber, format_message
from device.outbox.queue import Outbox

PREFIX = "earshot/balcony/"


def settings_for(broker, **more):
    return MqttConfig(host="127.0.0.1", port=broker.port, **more)


@contextmanager
def publishing(broker, folder, password=None, **more):
    with (
        Outbox(folder / "outbox.sqlite") as outbox,
        Publisher(settings_for(broker, **more), password, "balcony", outbox) as publisher,
    ):
        publisher.connect()
        yield publisher


def test_messages_arrive_in_order(mosquitto, tmp_path):
    """A hundred messages arrive once each, in order, numbered without a gap, and are deleted from the outbox."""
    with Subscriber(settings_for(mosquitto), None) as subscriber:
        with publishing(mosquitto, tmp_path) as publisher:
            for number in range(100):
                publisher.send({"number": number, "replayed": False})
            assert publisher.wait_delivered(10) == 0
        time.sleep(0.2)
        subscriber.close()
        received = list(subscriber)
    assert [message["number"] for message in received] == list(range(100))
    assert [message["sequence"] for message in received] == list(range(1, 101))
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        assert len(outbox) == 0


def test_status_is_retained(mosquitto, peer, tmp_path):
    """`status` is `online` while the publisher runs, and `offline` after it; both are retained."""
    with publishing(mosquitto, tmp_path):
        peer.until(PREFIX + "status", b"online", 5)
        late = Peer(mosquitto)
        late.until(PREFIX + "status", b"online", 5)
        assert late.messages[0].retain
        late.close()
    peer.until(PREFIX + "status", b"offline", 5)


def test_late_messages_go_to_the_backlog(mosquitto, peer, tmp_path):
    """Messages created while the broker is away are kept, and delivered later to the backlog."""
    mosquitto.stop()
    with publishing(mosquitto, tmp_path, live_seconds=0.5) as publisher:
        for number in range(3):
            publisher.send({"number": number, "replayed": False})
        assert publisher.wait_delivered(1) == 3
        mosquitto.start()
        late = Subscriber(settings_for(mosquitto), None)
        with late:
            assert publisher.wait_delivered(15) == 0
            publisher.send({"number": 3, "replayed": False})
            assert publisher.wait_delivered(5) == 0
            time.sleep(0.2)
            late.close()
            received = list(late)
    assert [(m["number"], m["replayed"]) for m in received] == [(0, True), (1, True), (2, True), (3, False)]


def test_messages_of_an_earlier_run_are_delivered(mosquitto, tmp_path):
    """Messages of a run that ended while the broker was away are delivered by the next run."""
    mosquitto.stop()
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.send({"number": 1, "replayed": False})
    mosquitto.start()
    with Subscriber(settings_for(mosquitto), None) as subscriber:
        with publishing(mosquitto, tmp_path) as publisher:
            assert publisher.wait_delivered(10) == 0
        time.sleep(0.2)
        subscriber.close()
        (message,) = list(subscriber)
    assert (message["number"], message["sequence"], message["replayed"]) == (1, 1, True)


def test_a_restart_of_the_broker_loses_no_message(mosquitto, tmp_path):
    """Messages created while the broker restarts are all acknowledged."""
    with publishing(mosquitto, tmp_path) as publisher:
        for number in range(60):
            publisher.send({"number": number, "replayed": False})
            time.sleep(0.01)
            if number == 20:
                mosquitto.stop()
            if number == 40:
                mosquitto.start()
        assert publisher.wait_delivered(20) == 0


def test_an_absent_broker_is_logged_once(mosquitto, tmp_path, caplog):
    """A broker that is away causes one log line, and does not delay the end of the publisher."""
    mosquitto.stop()
    started = time.monotonic()
    with caplog.at_level(logging.WARNING), publishing(mosquitto, tmp_path):
        time.sleep(2.5)
    assert time.monotonic() - started < 5
    (line,) = caplog.messages
    assert f"127.0.0.1:{mosquitto.port} does not answer" in line
    assert "mqtt.host" in line


@pytest.fixture
def guarded(make_mosquitto, tmp_path):
    """Return a broker that requires the password `right` of the user `earshot`."""
    import subprocess

    users = tmp_path / "users"
    users.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", users, "earshot", "right"], check=True)
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {users}\nuser root")
    broker.start()
    return broker


def test_a_correct_password_is_accepted(guarded, tmp_path):
    """With user and password the broker acknowledges messages."""
    with publishing(guarded, tmp_path, password="right", username="earshot") as publisher:
        publisher.send({"number": 1})
        assert publisher.wait_delivered(10) == 0


def test_a_wrong_password_is_logged(guarded, tmp_path, caplog):
    """A refusal is one log line with the settings to check, and without the password."""
    with (
        caplog.at_level(logging.WARNING),
        publishing(guarded, tmp_path, password="wrong", username="earshot") as publisher,
    ):
        publisher.send({"number": 1})
        assert publisher.wait_delivered(2.5) == 1
    assert "mqtt.password_file" in caplog.messages[0]
    assert len(caplog.messages) == 1
    assert "wrong" not in caplog.text
    with pytest.raises(UnavailableError, match="refuses"), Subscriber(settings_for(guarded, username="x"), "wrong"):
        pass


def test_any_message_can_be_formatted():
    """`earshot events` prints messages of other programs too, even without fields."""
    message = {"type": "end", "label": "siren", "confidence": 0.93, "duration_seconds": 4.0, "node_id": "balcony"}
    assert "end" in format_message(message)
    assert "siren" in format_message(message)
    assert "93%" in format_message(message)
    assert "late" in format_message({"replayed": True})
    assert "--:--:--" in format_message({"start_time": 5})


def test_no_port_is_bound(mosquitto, tmp_path, monkeypatch):
    """The publisher delivers even if the process may bind no port, as under systemd."""

    def refuse(*_):
        raise PermissionError("no port may be bound")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.send({"number": 1, "replayed": False})
        assert publisher.wait_delivered(10) == 0


def test_an_outbox_that_hangs_is_detected(mosquitto, tmp_path, monkeypatch):
    """`silent_seconds` returns to 0 while the outbox works, and grows while it hangs."""
    hangs, released = threading.Event(), threading.Event()
    refresh_status = Outbox.refresh_status

    def hang(outbox):
        if hangs.is_set():
            released.wait(30)
        refresh_status(outbox)

    monkeypatch.setattr(Outbox, "refresh_status", hang)
    with publishing(mosquitto, tmp_path) as publisher:
        for _ in range(3):  # each answer is followed by a new probe
            wait_until(lambda: publisher.silent_seconds() == 0, 10, "an answer")
        hangs.set()
        wait_until(lambda: publisher.silent_seconds() > 0.5, 10, "the silence")
        released.set()
        wait_until(lambda: publisher.silent_seconds() == 0, 10, "the answer")


def test_a_state_is_retained_and_published_again(mosquitto, peer, tmp_path):
    """The last value of each state reaches the broker, even if the broker was away or lost it."""
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.publish_state("health", "one")
        publisher.publish_retained("earshot/elsewhere/discovery", b"two")
        peer.until(PREFIX + "health", b"one", 5)
        peer.until("earshot/elsewhere/discovery", b"two", 5)
        mosquitto.stop()
        for number in range(100):
            publisher.publish_state("health", str(number))
        mosquitto.start()
        peer.until(PREFIX + "health", b"99", 20)
        assert len(peer.payloads(PREFIX + "health")) < 50, "only the last value of a state may be kept"
        publisher.publish_state("health", "end")
    peer.until(PREFIX + "health", b"end", 5)


def test_commands_reach_their_handler(mosquitto, peer, tmp_path):
    """The handler receives name and payload of each command, but of no retained one."""
    received = []
    peer.publish("earshot/balcony/command/listening", b"OLD", retain=True)
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.subscribe_commands(lambda name, payload: received.append((name, payload)))
        publisher.subscribe("homeassistant/status", lambda topic, payload: received.append((topic, payload)))
        peer.until(PREFIX + "status", b"online", 5)
        peer.publish("earshot/balcony/command/listening", b"ON")
        peer.publish("earshot/another/command/listening", b"no")
        peer.publish("homeassistant/status", b"online")
        wait_until(lambda: len(received) == 2, 5, "both messages")
    assert received == [("listening", b"ON"), ("homeassistant/status", b"online")]


def test_a_flood_of_commands_delays_no_event(mosquitto, peer, tmp_path):
    """Ten thousand commands at once, some of a megabyte, delay no event; the excess is dropped."""
    received = []
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.subscribe_commands(lambda name, _payload: (time.sleep(0.05), received.append(name)))
        peer.until(PREFIX + "status", b"online", 5)
        for number in range(10_000):
            payload = b"\xff\x00" * 500_000 if number % 2000 == 0 else b"{"
            peer.publish(f"earshot/balcony/command/{number}", payload, qos=0)
            if number % 100 == 0:
                publisher.send({"number": number, "replayed": False})
        assert publisher.wait_delivered(30) == 0
        assert publisher.status().commands_dropped >= 100
        assert publisher.status().connected
        received.clear()
        deadline = time.monotonic() + 60
        while "listening" not in received and time.monotonic() < deadline:
            peer.publish("earshot/balcony/command/listening", b"ON")
            time.sleep(0.5)
        assert "listening" in received, "commands must be handled again after the flood"
