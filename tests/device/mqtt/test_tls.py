import logging
import re
import shutil
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import wait_until

from device.config.models import MqttConfig, OutboxConfig
from device.errors import ConfigError, UnavailableError
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


def openssl(folder, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """Return a folder with authority.crt, stranger.crt, and NAME.crt and NAME.key for localhost, elsewhere, client."""
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
    """Return a function that starts a broker with TLS; its attribute `lines` returns a certificate's configuration."""

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
    """Publisher and subscriber connect to a broker that requires the client's certificate."""
    broker = make_tls("localhost", "require_certificate true")
    client = {"certificate_file": signed / "client.crt", "key_file": signed / "client.key"}
    tls = {"enabled": True, "ca_file": signed / "authority.crt", **client}
    with Subscriber(MqttConfig(port=broker.port, tls=tls), None) as subscriber:
        with publishing(broker.port, tmp_path, tls=tls) as publisher:
            publisher.send(EVENT)
            assert publisher.wait_delivered(20) == 0
        assert next(iter(subscriber))["number"] == 1


def test_a_certificate_for_another_host_is_refused_and_logged(make_tls, signed, tmp_path, caplog):
    """A certificate for another host is one log line with the cure; events are delivered once it is replaced."""
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


def test_the_check_of_the_host_name_can_be_disabled(make_tls, signed, tmp_path):
    """Without `check_hostname` a certificate for another host is accepted, but none of another authority."""
    broker = make_tls("elsewhere")
    tls = {"enabled": True, "ca_file": signed / "authority.crt", "check_hostname": False}
    with publishing(broker.port, tmp_path, tls=tls) as publisher:
        publisher.send(EVENT)
        assert publisher.wait_delivered(20) == 0
    stranger = {**tls, "ca_file": signed / "stranger.crt"}
    with pytest.raises(UnavailableError, match=r"not trusted.*mqtt\.tls\.ca_file"):
        Subscriber(MqttConfig(port=broker.port, tls=stranger), None).__enter__()


def test_tls_on_one_side_only_is_reported(make_tls, mosquitto, signed, tmp_path, caplog):
    """TLS with a plain broker, and a plain connection to TLS, are reported with the settings to check."""
    tls = {"enabled": True, "ca_file": signed / "authority.crt"}
    with pytest.raises(
        UnavailableError, match=r"(closes the connection|fails in the TLS handshake).*mqtt\.port.*mqtt\.tls"
    ):
        Subscriber(MqttConfig(port=mosquitto.port, tls=tls), None).__enter__()
    with caplog.at_level(logging.WARNING), publishing(make_tls("localhost").port, tmp_path):
        wait_until(lambda: caplog.messages, 20, "the log line")
    assert "mqtt.tls" in caplog.messages[0]


def test_an_invalid_certificate_file_is_reported_at_once(tmp_path):
    """A certificate file that is missing or contains no certificate is a fault of the settings."""
    (tmp_path / "text").write_text("no certificate")
    for tls, key in (
        ({"ca_file": tmp_path / "text"}, "mqtt.tls.ca_file"),
        ({"ca_file": tmp_path / "nowhere"}, "mqtt.tls.ca_file"),
        ({"certificate_file": tmp_path / "text"}, "mqtt.tls.certificate_file"),
    ):
        with pytest.raises(ConfigError, match=key), publishing(1, tmp_path, tls={"enabled": True, **tls}):
            pass


@pytest.mark.parametrize("name", ["ca_file", "certificate_file", "key_file"])
def test_a_file_that_is_away_at_a_reconnect_is_retried(make_tls, signed, tmp_path, caplog, monkeypatch, name):
    """A certificate that is renamed for a moment is one log line; the connection is back once the file is."""
    monkeypatch.setattr("device.mqtt.connection._LAST_RETRY_SECONDS", 0.5)
    broker, before = make_tls("localhost"), THREADS.failures
    files = {"ca_file": "authority.crt", "certificate_file": "client.crt", "key_file": "client.key"}
    for file in files.values():
        shutil.copy(signed / file, tmp_path)
    tls = {"enabled": True, **{key: tmp_path / file for key, file in files.items()}}
    away = tmp_path / files[name]
    with caplog.at_level(logging.WARNING), publishing(broker.port, tmp_path, tls=tls) as publisher:
        wait_until(lambda: publisher.status().connected, 20, "the connection")
        away.rename(tmp_path / "away")
        broker.stop()
        broker.start()
        wait_until(lambda: f"mqtt.tls.{name.replace('key', 'certificate')}" in caplog.text, 20, "the log line")
        (tmp_path / "away").rename(away)
        publisher.send(EVENT)
        assert publisher.wait_delivered(20) == 0
    assert THREADS.failures == before


@pytest.fixture
def strict(monkeypatch):
    """Apply the strict rules of Python 3.13 to certificates."""
    make_context = ssl.create_default_context

    def make_strict(**options):
        context = make_context(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", make_strict)


def test_a_certificate_that_breaks_a_strict_rule_has_its_own_cure(make_tls, signed, strict):
    """Under the strict rules of Python 3.13, the cure for a missing extension is another certificate."""
    tls = {"enabled": True, "ca_file": signed / "authority.crt"}
    with pytest.raises(UnavailableError, match=r"breaks a rule of RFC 5280 \(.*\), .*Issue it and its authority's"):
        Subscriber(MqttConfig(port=make_tls("localhost").port, tls=tls), None).__enter__()


def test_the_certificates_of_the_troubleshooting_page_are_accepted(make_mosquitto, tmp_path, strict):
    """Certificates that are issued with the commands of the page pass the strict rules."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "troubleshooting.md").read_text()
    (commands,) = (block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "openssl" in block)
    subprocess.run(["sh", "-ec", commands.replace("broker.local", "localhost")], cwd=tmp_path, check=True)
    files = f"certfile {tmp_path}/broker.crt\nkeyfile {tmp_path}/broker.key"
    broker = make_mosquitto(f"user root\nallow_anonymous true\n{files}")
    broker.start()
    with Subscriber(MqttConfig(port=broker.port, tls={"enabled": True, "ca_file": tmp_path / "authority.crt"}), None):
        pass


def test_an_encrypted_key_is_a_fault_of_the_settings(signed, tmp_path):
    """A key with a passphrase is one error with the cure, in a file of its own or with the certificate."""
    openssl(tmp_path, "pkey", "-in", signed / "client.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
    both = tmp_path / "both.pem"
    both.write_text((signed / "client.crt").read_text() + (tmp_path / "locked.key").read_text())
    for tls, key in (
        ({"certificate_file": signed / "client.crt", "key_file": tmp_path / "locked.key"}, "key_file"),
        ({"certificate_file": both}, "certificate_file"),
    ):
        with pytest.raises(ConfigError, match=rf"mqtt\.tls\.{key} .*: the key is encrypted.*openssl pkey"):
            Subscriber(MqttConfig(tls={"enabled": True, **tls}), None)
