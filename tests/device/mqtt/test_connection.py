import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import free_port, wait_until

from device.config.models import MqttConfig, OutboxConfig
from device.errors import UnavailableError
from device.mqtt.publisher import Publisher
from device.mqtt.subscriber import Subscriber
from device.outbox.queue import Outbox
from device.util.supervised_thread import THREADS

EVENT = {"number": 1, "replayed": False}


@contextmanager
def publishing(port, folder, host="localhost", password=None, **more):
    config, limits = MqttConfig(host=host, port=port, **more), OutboxConfig(free_megabytes=0)
    with (
        Outbox(folder / "outbox.sqlite", limits) as outbox,
        Publisher(config, password, "balcony", outbox) as publisher,
    ):
        publisher.connect()
        yield publisher


@pytest.fixture
def websocket_broker(tmp_path):
    """Yield the port of a broker of MQTT 3.1.1 with WebSocket (amqtt: not every mosquitto supports it)."""
    port = free_port()
    (tmp_path / "amqtt.yaml").write_text(
        f"listeners: {{default: {{type: ws, bind: '127.0.0.1:{port}'}}}}\n"
        "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
    )
    with subprocess.Popen([Path(sys.executable).with_name("amqtt"), "-c", tmp_path / "amqtt.yaml"]) as process:
        yield port
        process.terminate()


def test_websockets(websocket_broker, mosquitto, tmp_path):
    """Events are delivered over WebSocket; a broker without it is reported with the settings to check."""
    with publishing(websocket_broker, tmp_path, host="127.0.0.1", transport="websockets") as publisher:
        publisher.send(EVENT)
        assert publisher.wait_delivered(60) == 0
    with pytest.raises(UnavailableError, match=r"mqtt\.transport"):
        Subscriber(MqttConfig(port=mosquitto.port, transport="websockets"), None).__enter__()


class FakeBroker:
    """Broker that answers each CONNECT with the next of some answers, then accepts only MQTT 3.1.1 (version 4)."""

    REFUSED, ACCEPTED = b"\x20\x02\x00\x01", b"\x20\x02\x00\x00"

    def __init__(self, *answers):
        self._answers = list(answers)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.accepted = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            packet = connection.recv(4096)
            level = packet[packet.find(b"MQTT") + 4]
            if self._answers:
                connection.sendall(self._answers.pop(0))
            elif level == 4:
                connection.sendall(self.ACCEPTED)
                self.accepted.append(connection)
                continue
            connection.close()

    def close(self):
        self._server.close()


@pytest.mark.parametrize(
    "answers",
    [
        [FakeBroker.REFUSED],
        [b""],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\xff"],
        [b"\x30\x05\x00\xff\xff\xff\xff", b"\x20\x00", b"\x20\x03\x00\x00\xff"],
        [b"\xff" * 1000, b"\x40\x02\x00\x01\xd0\x05"],
    ],
    ids=["refuses 5", "closes on 5", "web server", "malformed", "noise"],
)
def test_a_broker_of_mqtt_3_1_1_is_supported(tmp_path, answers):
    """A broker that refuses MQTT 5, closes the connection or first sends invalid data is connected with 3.1.1."""
    broker = FakeBroker(*answers)
    with publishing(broker.port, tmp_path, host="127.0.0.1") as publisher:
        wait_until(lambda: publisher.status().connected, 30, "the connection")
        assert broker.accepted
    broker.close()


def test_events_are_delivered_once_the_password_is_corrected(make_mosquitto, tmp_path, caplog):
    """A refused password is one log line; events are delivered once the broker accepts the password."""

    def set_password(word):
        users = tmp_path / "users"
        users.unlink(missing_ok=True)
        users.touch(mode=0o600)
        subprocess.run(["mosquitto_passwd", "-b", users, "earshot", word], check=True)

    set_password("another")
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {tmp_path / 'users'}\nuser root")
    broker.start()
    with (
        caplog.at_level(logging.WARNING),
        publishing(broker.port, tmp_path, password="right", username="earshot") as publisher,
    ):
        publisher.send(EVENT)
        assert publisher.wait_delivered(3) == 1
        (line,) = caplog.messages
        assert "mqtt.password_file" in line
        broker.stop()
        set_password("right")
        broker.start()
        assert publisher.wait_delivered(60) == 0


def test_events_that_the_broker_refuses_are_kept(make_mosquitto, tmp_path, caplog):
    """Events that access rules forbid are kept, with a log line, and delivered once the rules are corrected."""
    rules = tmp_path / "rules"
    rules.write_text("topic write earshot/balcony/status\n")
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {rules}\nuser root")
    broker.start()
    with caplog.at_level(logging.WARNING), publishing(broker.port, tmp_path) as publisher:
        publisher.send(EVENT)
        wait_until(lambda: caplog.messages, 20, "the log line")
        assert "access rules" in caplog.messages[0]
        assert publisher.wait_delivered(1) == 1
        broker.stop()
        rules.write_text("topic readwrite earshot/#\n")
        broker.start()
        assert publisher.wait_delivered(60) == 0


def test_an_unknown_host_name_is_logged(tmp_path, caplog):
    """A host name that DNS cannot resolve is logged as such."""
    with caplog.at_level(logging.WARNING), publishing(1883, tmp_path, host="no.such.host.invalid"):
        wait_until(lambda: caplog.messages, 20, "the log line")
    assert "cannot be resolved" in caplog.messages[0]


def test_two_devices_with_one_node_id_are_logged(tmp_path, caplog):
    """If a broker of MQTT 5 passes the session to another client, the log line contains the cure."""
    broker = FakeBroker(b"\x20\x03\x00\x00\x00" + b"\xe0\x01\x8e")
    with caplog.at_level(logging.WARNING), publishing(broker.port, tmp_path, host="127.0.0.1"):
        wait_until(lambda: caplog.messages, 20, "the log line")
    assert "passed the session to another client. Set a different node_id on each device" in caplog.messages[0]
    broker.close()


def test_messages_of_a_lost_connection_are_sent_again_as_late(make_mosquitto, tmp_path):
    """Messages in flight to a broker that hangs and is killed are sent again, to the backlog, because they are late."""
    broker = make_mosquitto()
    broker.start()
    with publishing(broker.port, tmp_path, live_seconds=1) as publisher:
        wait_until(lambda: publisher.status().connected, 20, "the connection")
        broker.freeze()
        for number in range(3):
            publisher.send({"number": number, "replayed": False})
        time.sleep(1.5)
        broker.kill()
        broker.start()
        with Subscriber(MqttConfig(port=broker.port), None) as subscriber:
            assert publisher.wait_delivered(60) == 0
            publisher.send({"number": 3, "replayed": False})
            messages = iter(subscriber)
            received = [next(messages) for _ in range(4)]
    assert [(m["number"], m["replayed"]) for m in received] == [(0, True), (1, True), (2, True), (3, False)]


def test_a_full_disk_delays_no_event(mosquitto, small_disk, caplog):
    """On a full disk events are delivered from memory, with one warning, until the disk has space again."""
    with (
        caplog.at_level(logging.WARNING),
        publishing(mosquitto.port, small_disk) as publisher,
    ):
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free))
        for _ in range(300):
            publisher.send(EVENT)
        assert publisher.wait_delivered(30) == 0
        assert publisher.status().outbox.trouble
        (line,) = caplog.messages
        assert "Free some space" in line
        ballast.unlink()
        wait_until(lambda: not publisher.status().outbox.trouble, 30, "the return to the disk")


class FakeWebServer(FakeBroker):
    """Server that answers each WebSocket handshake with a malformed line."""

    def __init__(self, line):
        self._line = line
        super().__init__()

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.recv(4096)
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + self._line + b"\r\n\r\n"
            )
            self.accepted.append(connection)


@pytest.mark.parametrize("line", [b"Sec-WebSocket-Accept:abc", b"Sec-WebSocket-Accept: \xff\xfe"])
def test_a_malformed_websocket_handshake_is_retried(tmp_path, caplog, monkeypatch, line):
    """A malformed answer to the handshake is one log line, and the next attempt follows; the check names it."""
    monkeypatch.setattr("device.mqtt.connection._LAST_RETRY_SECONDS", 0.2)
    monkeypatch.setattr("device.mqtt.connection._FIRST_RETRY_SECONDS", 0.2)
    server, before = FakeWebServer(line), THREADS.failures
    with caplog.at_level(logging.WARNING), publishing(server.port, tmp_path, "127.0.0.1", transport="websockets"):
        wait_until(lambda: len(server.accepted) >= 3, 20, "the third attempt")
    assert [message for message in caplog.messages if "offers no WebSocket there" in message] == caplog.messages
    assert THREADS.failures == before
    config = MqttConfig(host="127.0.0.1", port=server.port, transport="websockets")
    with pytest.raises(UnavailableError, match="offers no WebSocket"):
        Subscriber(config, None).__enter__()
    server.close()
