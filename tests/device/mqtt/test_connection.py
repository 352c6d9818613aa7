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
from device.errors import ConfigError, UnavailableError
from device.mqtt.publisher import Publisher
from device.mqtt.subscriber import Subscriber
from device.outbox.queue import Outbox

EVENT = {"number": 1, "replayed": False}


@contextmanager
def publishing(port, folder, host="localhost", password=None, **more):
    config, kept = MqttConfig(host=host, port=port, **more), OutboxConfig(free_megabytes=0)
    with (
        Outbox(folder / "outbox.sqlite", kept) as outbox,
        Publisher(config, password, "balcony", outbox) as publisher,
    ):
        yield publisher


def openssl(folder, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """Folder with authority.crt, stranger.crt, and NAME.crt and NAME.key for localhost, elsewhere and client."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for name in ("authority", "stranger"):
        openssl(folder, *new, "-x509", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
    for name in ("localhost", "elsewhere", "client"):
        openssl(folder, *new[:4], "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "extensions").write_text(f"subjectAltName=DNS:{name}\n")
        sign = ["x509", "-req", "-days", "2", "-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial"]
        openssl(folder, *sign, "-extfile", "extensions", "-in", f"{name}.csr", "-out", f"{name}.crt")
    return folder


@pytest.fixture
def make_tls(make_mosquitto, signed):
    """Make a broker with TLS, and the lines of configuration for a certificate."""

    def lines(name, more=""):
        files = f"cafile {signed}/authority.crt\ncertfile {signed}/{name}.crt\nkeyfile {signed}/{name}.key"
        return f"user root\nallow_anonymous true\n{files}\n{more}"

    def make(name, more=""):
        broker = make_mosquitto(lines(name, more))
        broker.start()
        return broker

    make.lines = lines
    return make


def test_tls_with_certificates_on_both_sides(make_tls, signed, tmp_path):
    """The broker shows its certificate and wants ours; `earshot events` takes the same settings."""
    broker = make_tls("localhost", "require_certificate true")
    client = {"certificate_file": signed / "client.crt", "key_file": signed / "client.key"}
    tls = {"enabled": True, "ca_file": signed / "authority.crt", **client}
    with Subscriber(MqttConfig(port=broker.port, tls=tls), None) as subscriber:
        with publishing(broker.port, tmp_path, tls=tls) as publisher:
            publisher.send(EVENT)
            assert publisher.wait_delivered(20) == 0
        assert next(iter(subscriber))["number"] == 1


def test_a_certificate_for_another_host_is_refused_and_told(make_tls, signed, tmp_path, caplog):
    """One line with the cure, the daemon stays up, and delivers once the broker has the right certificate."""
    broker = make_tls("elsewhere")
    tls = {"enabled": True, "ca_file": signed / "authority.crt"}
    with caplog.at_level(logging.WARNING), publishing(broker.port, tmp_path, tls=tls) as publisher:
        publisher.send(EVENT)
        assert publisher.wait_delivered(3) == 1
        (line,) = caplog.messages
        assert "certificate for another host" in line
        assert "mqtt.host" in line
        broker.stop()
        broker.configure(make_tls.lines("localhost"))
        broker.start()
        assert publisher.wait_delivered(60) == 0


def test_the_host_name_may_be_left_unchecked(make_tls, signed, tmp_path):
    """Who says so gets encryption with a certificate of another name, but never of another authority."""
    broker = make_tls("elsewhere")
    tls = {"enabled": True, "ca_file": signed / "authority.crt", "check_hostname": False}
    with publishing(broker.port, tmp_path, tls=tls) as publisher:
        publisher.send(EVENT)
        assert publisher.wait_delivered(20) == 0
    stranger = {**tls, "ca_file": signed / "stranger.crt"}
    with pytest.raises(UnavailableError, match=r"not trusted.*mqtt\.tls\.ca_file"):
        Subscriber(MqttConfig(port=broker.port, tls=stranger), None).__enter__()


def test_tls_where_there_is_none_and_none_where_there_is(make_tls, mosquitto, signed, tmp_path, caplog):
    """Both mistakes are told with the settings to check."""
    tls = {"enabled": True, "ca_file": signed / "authority.crt"}
    with pytest.raises(UnavailableError, match=r"(hangs up|does not agree).*mqtt\.port.*mqtt\.tls"):
        Subscriber(MqttConfig(port=mosquitto.port, tls=tls), None).__enter__()
    with caplog.at_level(logging.WARNING), publishing(make_tls("localhost").port, tmp_path):
        wait_until(lambda: caplog.messages, 20, "the line")
    assert "mqtt.tls" in caplog.messages[0]


def test_certificates_that_are_none_are_told_at_once(tmp_path):
    """A file that is not there or holds something else is a fault of the settings."""
    (tmp_path / "text").write_text("no certificate")
    for tls, says in (
        ({"ca_file": tmp_path / "text"}, "mqtt.tls.ca_file"),
        ({"ca_file": tmp_path / "nowhere"}, "mqtt.tls.ca_file"),
        ({"certificate_file": tmp_path / "text"}, "mqtt.tls.certificate_file"),
    ):
        with pytest.raises(ConfigError, match=says), publishing(1, tmp_path, tls={"enabled": True, **tls}):
            pass


@pytest.fixture
def websocket_broker(tmp_path):
    """A broker of MQTT 3.1.1 behind a WebSocket (amqtt: not every mosquitto can open one); gives its port."""
    port = free_port()
    (tmp_path / "amqtt.yaml").write_text(
        f"listeners: {{default: {{type: ws, bind: '127.0.0.1:{port}'}}}}\n"
        "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
    )
    with subprocess.Popen([Path(sys.executable).with_name("amqtt"), "-c", tmp_path / "amqtt.yaml"]) as process:
        yield port
        process.terminate()


def test_websockets(websocket_broker, mosquitto, tmp_path):
    """The same over WebSocket; where there is none, that is told."""
    with publishing(websocket_broker, tmp_path, host="127.0.0.1", transport="websockets") as publisher:
        publisher.send(EVENT)
        assert publisher.wait_delivered(60) == 0
    with pytest.raises(UnavailableError, match=r"mqtt\.transport"):
        Subscriber(MqttConfig(port=mosquitto.port, transport="websockets"), None).__enter__()


class FakeBroker:
    """Answers each CONNECT with the next of some answers, then, as a broker of MQTT 3.1.1, takes version 4 only."""

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
    ids=["refuses 5", "hangs up on 5", "web server", "malformed", "noise"],
)
def test_a_broker_of_the_older_protocol_is_found(tmp_path, answers):
    """One that speaks only 3.1.1, refusing 5 or hanging up, and one that talks nonsense first."""
    broker = FakeBroker(*answers)
    with publishing(broker.port, tmp_path, host="127.0.0.1") as publisher:
        wait_until(lambda: publisher.facts().connected, 30, "the connection")
        assert broker.accepted
    broker.close()


def test_a_password_that_is_put_right_lets_in(make_mosquitto, tmp_path, caplog):
    """Refused: one line, the daemon stays up; when the broker knows the password, all is delivered."""

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


def test_events_that_the_broker_does_not_take_wait(make_mosquitto, tmp_path, caplog):
    """Its access rules forbid the topic: one line, nothing is deleted, and all is delivered once they are right."""
    rules = tmp_path / "rules"
    rules.write_text("topic write earshot/balcony/status\n")
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {rules}\nuser root")
    broker.start()
    with caplog.at_level(logging.WARNING), publishing(broker.port, tmp_path) as publisher:
        publisher.send(EVENT)
        wait_until(lambda: caplog.messages, 20, "the line")
        assert "access rules" in caplog.messages[0]
        assert publisher.wait_delivered(1) == 1
        broker.stop()
        rules.write_text("topic readwrite earshot/#\n")
        broker.start()
        assert publisher.wait_delivered(60) == 0


def test_a_name_that_is_not_known_is_told(tmp_path, caplog):
    """A host name that DNS does not know is a line of its own."""
    with caplog.at_level(logging.WARNING), publishing(1883, tmp_path, host="no.such.host.invalid"):
        wait_until(lambda: caplog.messages, 20, "the line")
    assert "cannot be resolved" in caplog.messages[0]


def test_two_devices_of_one_name_are_told(tmp_path, caplog):
    """They take the session from each other, as a broker of MQTT 5 says; the cure is a name for each."""
    broker = FakeBroker(b"\x20\x03\x00\x00\x00" + b"\xe0\x01\x8e")
    with caplog.at_level(logging.WARNING), publishing(broker.port, tmp_path, host="127.0.0.1"):
        wait_until(lambda: caplog.messages, 20, "the line")
    assert "gave our session to another client. Give each device its own node_id" in caplog.messages[0]
    broker.close()


def test_what_a_dead_connection_held_comes_late_not_live(make_mosquitto, tmp_path):
    """Handed to a broker that has frozen and then dies: sent again, but as what it is by then, too late for lights."""
    broker = make_mosquitto()
    broker.start()
    with publishing(broker.port, tmp_path, live_seconds=1) as publisher:
        wait_until(lambda: publisher.facts().connected, 20, "the connection")
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


def test_a_full_disk_stops_no_event(mosquitto, small_disk, caplog):
    """Events of the moment are delivered from memory, with one warning, and the disk is used again when it can be."""
    with (
        caplog.at_level(logging.WARNING),
        publishing(mosquitto.port, small_disk) as publisher,
    ):
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free))
        for _ in range(300):
            publisher.send(EVENT)
        assert publisher.wait_delivered(30) == 0
        assert publisher.facts().outbox.trouble
        (line,) = caplog.messages
        assert "Free some space" in line
        ballast.unlink()
        wait_until(lambda: not publisher.facts().outbox.trouble, 30, "the return to the disk")
