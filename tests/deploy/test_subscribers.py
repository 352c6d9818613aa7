"""Tests of the example subscribers: real mosquitto, and messages of the real publisher."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from broker_support import publishing
from support import Peer, free_port, wait_until

from device.config.models import MqttConfig, OutboxConfig
from device.mqtt.messages import event_message
from device.mqtt.publisher import Publisher
from device.outbox.queue import Outbox
from device.types import Event
from device.util.clock import CLOCK

FOLDER = Path(__file__).parents[2] / "deploy" / "subscribers"
LIVE, LATE = "earshot/balcony/event", "earshot/balcony/event/backlog"
PASSWORD = "s3cret"


def message(label, **more):
    """Return the message of the start of an event, as the daemon makes it."""
    event = Event("start", f"e-{label}", label, 0.93, {label: 0.93}, CLOCK.now(), None, -20.0, "level")
    return event_message(event, node_id="balcony", bundle="b@1", clock=CLOCK) | more


@contextmanager
def running(folder, *command, **environment):
    """Run a program and its children; yield functions that return its output and its errors so far."""
    output, errors = folder / "output", folder / "errors"
    environment = {**os.environ, **environment}
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            [*map(str, command)], stdout=out, stderr=err, env=environment, start_new_session=True
        )
    try:
        yield output.read_text, errors.read_text
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture
def secured(make_mosquitto, tmp_path):
    """Return a broker with TLS that requires the user `reader` with a password, and logs subscriptions."""
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name]
    subprocess.run([*make, "-keyout", "key", "-out", "ca.crt"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "users", "reader", PASSWORD], check=True)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    tls = f"cafile {tmp_path}/ca.crt\ncertfile {tmp_path}/ca.crt\nkeyfile {tmp_path}/key"
    broker = make_mosquitto(f"user root\nallow_anonymous false\npassword_file {tmp_path}/users\nlog_type all\n{tls}")
    broker.start()
    return broker


def python_subscriber(folder, port):
    """Return the command of the Python subscriber, and its environment."""
    login = ["--username", "reader", "--password-file", folder / "password", "--ca-file", folder / "ca.crt"]
    return [sys.executable, FOLDER / "subscriber.py", "--host", "localhost", "--port", port, *login], {}


def shell_subscriber(folder, port):
    """Return the command of the shell subscriber, whose login is in mosquitto_sub's file, and its environment."""
    lines = f"-u reader\n-P {PASSWORD}\n--cafile {folder}/ca.crt\n-p {port}\n"
    (folder / "mosquitto_sub").write_text(lines)
    return [FOLDER / "subscriber.sh", "-h", "localhost"], {"XDG_CONFIG_HOME": str(folder)}


@pytest.mark.parametrize("subscriber", [python_subscriber, shell_subscriber])
def test_a_subscriber_survives_what_happens(secured, tmp_path, subscriber):
    """Live and late events are printed, with gaps and the end of a connection, over TLS with a password.

    A message that is no event is no end, nor is a broker that restarts.
    """
    if subscriber is shell_subscriber and not (shutil.which("mosquitto_sub") and shutil.which("jq")):
        pytest.skip("needs mosquitto-clients and jq")
    command, environment = subscriber(tmp_path, secured.port)
    tls = {"enabled": True, "ca_file": tmp_path / "ca.crt"}
    config = MqttConfig(port=secured.port, username="reader", tls=tls)
    log = tmp_path / "mosquitto.log"

    def subscriptions():
        return log.read_text().count("earshot/+/event/backlog")

    with (
        running(tmp_path, *command, **environment) as (output, errors),
        Outbox(tmp_path / "outbox.sqlite", OutboxConfig(free_megabytes=0)) as outbox,
        Publisher(config, PASSWORD, "balcony", outbox) as publisher,
    ):
        publisher.connect()
        wait_until(lambda: subscriptions() >= 1, 30, "the subscription")
        publisher.send(message("siren"))
        wait_until(lambda: "siren" in output(), 20, "the live event")
        for payload in (b"", b"[1]", b"not JSON", b'{"id": 1}'):
            publisher.publish_retained("earshot/other/event", payload)
        late = message("dog_bark", sequence=9, replayed=True)
        publisher.publish_retained(LATE, json.dumps(late))
        wait_until(lambda: "late" in output(), 20, "the late event")
        assert "gap: 2 to 8 did not arrive" in errors()
        before = subscriptions()
        secured.stop()
        secured.start()
        wait_until(lambda: subscriptions() > before, 40, "the next subscription")
        wait_until(lambda: publisher.status().connected, 40, "the publisher's connection")
        publisher.send(message("drilling"))
        wait_until(lambda: "drilling" in output(), 20, "the event after the restart")
    lines = [line.split() for line in output().splitlines()]
    assert ["balcony", "start", "siren"] in [line[:3] for line in lines]
    assert [line[2] for line in lines if "siren at" not in " ".join(line)] == ["siren", "dog_bark", "drilling"]
    assert "Traceback" not in errors()


def get(address):
    """Return the JSON of an address; None while there is no answer."""
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return json.load(response)
    except (urllib.error.URLError, ConnectionError):
        return None


@pytest.mark.skipif(shutil.which("node-red") is None, reason="node-red is not on PATH: npm install node-red")
def test_the_flow_runs_in_node_red(make_mosquitto, tmp_path):
    """Node-RED counts the events of today, live and late, each once, and reacts to a live siren alone."""
    mosquitto = make_mosquitto("allow_anonymous true\nlog_type all")
    mosquitto.start()
    flows = json.loads((FOLDER / "flows.json").read_text())
    for node in flows:
        if node["type"] == "mqtt-broker":
            node["port"] = str(mosquitto.port)
    (tmp_path / "flows.json").write_text(json.dumps(flows))
    port = free_port()
    command = ["node-red", "--userDir", tmp_path, "--port", port, tmp_path / "flows.json"]
    log = tmp_path / "mosquitto.log"
    with (
        running(tmp_path, *command),
        publishing(mosquitto, tmp_path) as publisher,
        closing(Peer(mosquitto)) as peer,
    ):
        for topic in ("event ", "event/backlog "):
            wait_until(lambda topic=topic: f"earshot/+/{topic}" in log.read_text(), 60, "the subscription")
        peer.publish(LATE, json.dumps(message("siren", replayed=True)))
        for label in ("dog_bark", "car_horn", "dog_bark"):
            publisher.send(message(label))
        twice = json.dumps(message("drilling"))
        for payload in ("", twice, twice):
            peer.publish(LIVE, payload)
        address = f"http://127.0.0.1:{port}/earshot"
        wait_until(lambda: sum((get(address) or {}).get("today", {}).values()) == 5, 20, "the counts")
        assert peer.payloads("home/siren_light/set") == []
        publisher.send(message("siren"))
        peer.until("home/siren_light/set", b"ON", 20)
        state = get(address)
    assert state["today"] == {"siren": 2, "dog_bark": 2, "car_horn": 1, "drilling": 1}
    assert (state["last"]["label"], state["last"]["node_id"]) == ("siren", "balcony")
