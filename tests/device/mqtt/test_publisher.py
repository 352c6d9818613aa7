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
from device.mqtt.subscriber import Subscriber, describe
from device.outbox.queue import Outbox

OWN = "earshot/balcony/"


def settings_for(broker, **more):
    return MqttConfig(host="127.0.0.1", port=broker.port, **more)


@contextmanager
def publishing(broker, folder, password=None, **more):
    with (
        Outbox(folder / "outbox.sqlite") as outbox,
        Publisher(settings_for(broker, **more), password, "balcony", outbox) as publisher,
    ):
        yield publisher


def test_messages_arrive_in_order(mosquitto, tmp_path):
    """A hundred messages reach a subscriber, each once, in order, numbered without a gap, and leave the outbox."""
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


def test_status_is_retained_and_says_goodbye(mosquitto, peer, tmp_path):
    """`online` while it lives, `offline` when it ends; both retained for whoever comes later."""
    with publishing(mosquitto, tmp_path):
        peer.until(OWN + "status", b"online", 5)
        late = Peer(mosquitto)
        late.until(OWN + "status", b"online", 5)
        assert late.messages[0].retain
        late.close()
    peer.until(OWN + "status", b"offline", 5)


def test_what_waited_goes_to_the_backlog(mosquitto, peer, tmp_path):
    """Messages made while the broker is away are kept, and delivered later as late ones: nobody's lights go on."""
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


def test_what_an_earlier_run_left_is_delivered(mosquitto, tmp_path):
    """A daemon that ended with the broker away delivers its messages when it runs again."""
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


def test_a_broker_that_goes_and_comes_loses_nothing(mosquitto, tmp_path):
    """The broker is restarted while messages are made: the outbox empties, so each was confirmed."""
    with publishing(mosquitto, tmp_path) as publisher:
        for number in range(60):
            publisher.send({"number": number, "replayed": False})
            time.sleep(0.01)
            if number == 20:
                mosquitto.stop()
            if number == 40:
                mosquitto.start()
        assert publisher.wait_delivered(20) == 0


def test_an_absent_broker_is_told_once(mosquitto, tmp_path, caplog):
    """A broker that is away is one clear line, not one a second, and leaving does not wait for it."""
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
    """A broker that wants the password `right` of the user `earshot`."""
    import subprocess

    users = tmp_path / "users"
    users.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", users, "earshot", "right"], check=True)
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {users}\nuser root")
    broker.start()
    return broker


def test_a_password_lets_in(guarded, tmp_path):
    """With user and password the broker takes our messages."""
    with publishing(guarded, tmp_path, password="right", username="earshot") as publisher:
        publisher.send({"number": 1})
        assert publisher.wait_delivered(10) == 0


def test_a_wrong_password_is_told(guarded, tmp_path, caplog):
    """A refusal is one clear line with the settings to check, and never the password."""
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


def test_a_line_for_a_person_takes_any_message():
    """`earshot events` prints what a stranger published too, whatever it lacks."""
    message = {"type": "end", "label": "siren", "confidence": 0.93, "duration_seconds": 4.0, "node_id": "balcony"}
    assert "end" in describe(message)
    assert "siren" in describe(message)
    assert "93%" in describe(message)
    assert "late" in describe({"replayed": True})
    assert "--:--:--" in describe({"start_time": 5})


def test_no_port_is_bound(mosquitto, tmp_path, monkeypatch):
    """A daemon that may bind no port, as under systemd, delivers all the same."""

    def refuse(*_):
        raise PermissionError("no port may be bound")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.send({"number": 1, "replayed": False})
        assert publisher.wait_delivered(10) == 0


def test_an_outbox_that_hangs_is_noticed(mosquitto, tmp_path, monkeypatch):
    """An outbox that answers owes nothing for long; one that does not owes an answer ever longer."""
    hangs, let_go = threading.Event(), threading.Event()
    count = Outbox.count

    def hang(outbox):
        if hangs.is_set():
            let_go.wait(30)
        count(outbox)

    monkeypatch.setattr(Outbox, "count", hang)
    with publishing(mosquitto, tmp_path) as publisher:
        for _ in range(3):  # it is asked again after each answer
            wait_until(lambda: publisher.silent_seconds() == 0, 10, "an answer")
        hangs.set()
        wait_until(lambda: publisher.silent_seconds() > 0.5, 10, "the silence")
        let_go.set()
        wait_until(lambda: publisher.silent_seconds() == 0, 10, "the answer")


def test_a_state_is_retained_and_said_again(mosquitto, peer, tmp_path):
    """The last value of each state reaches the broker, also the one that was set while it was away or has forgotten."""
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.state("health", "one")
        publisher.retain("earshot/elsewhere/discovery", b"two")
        peer.until(OWN + "health", b"one", 5)
        peer.until("earshot/elsewhere/discovery", b"two", 5)
        mosquitto.stop()
        for number in range(100):
            publisher.state("health", str(number))
        mosquitto.start()
        peer.until(OWN + "health", b"99", 20)
        assert len(peer.payloads(OWN + "health")) < 50, "values that follow one another must not queue up"
        publisher.state("health", "end")
    peer.until(OWN + "health", b"end", 5)


def test_commands_reach_their_handler(mosquitto, peer, tmp_path):
    """Name and payload as they were sent, on a thread of its own; what the broker had kept is no command."""
    taken = []
    peer.publish("earshot/balcony/command/listening", b"OLD", retain=True)
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.on_command(lambda name, payload: taken.append((name, payload)))
        publisher.subscribe("homeassistant/status", lambda topic, payload: taken.append((topic, payload)))
        peer.until(OWN + "status", b"online", 5)
        peer.publish("earshot/balcony/command/listening", b"ON")
        peer.publish("earshot/another/command/listening", b"no")
        peer.publish("homeassistant/status", b"online")
        wait_until(lambda: len(taken) == 2, 5, "both messages")
    assert taken == [("listening", b"ON"), ("homeassistant/status", b"online")]


def test_a_flood_of_commands_delays_no_event(mosquitto, peer, tmp_path):
    """Ten thousand commands at once, some of a megabyte, and a slow handler: events go on, the excess is dropped."""
    taken = []
    with publishing(mosquitto, tmp_path) as publisher:
        publisher.on_command(lambda name, _payload: (time.sleep(0.05), taken.append(name)))
        peer.until(OWN + "status", b"online", 5)
        for number in range(10_000):
            payload = b"\xff\x00" * 500_000 if number % 2000 == 0 else b"{"
            peer.publish(f"earshot/balcony/command/{number}", payload, qos=0)
            if number % 100 == 0:
                publisher.send({"number": number, "replayed": False})
        assert publisher.wait_delivered(30) == 0
        assert publisher.facts().commands_dropped >= 100
        assert publisher.facts().connected
        taken.clear()
        again = time.monotonic() + 60
        while "listening" not in taken and time.monotonic() < again:
            peer.publish("earshot/balcony/command/listening", b"ON")
            time.sleep(0.5)
        assert "listening" in taken, "commands must be taken again after the flood"
