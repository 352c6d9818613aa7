"""Tests of the broker's example files in a real mosquitto: login and access rules."""

import os
import subprocess
import sys

import pytest
from support import Peer, wait_until

from device.cli.check_broker import BrokerChecks
from device.config.models import Config, MqttConfig
from device.errors import UnavailableError
from device.mqtt.subscriber import Subscriber

FOLDER = "/etc/mosquitto/"
SETTINGS = ("password_file", "acl_file", "allow_anonymous")


@pytest.fixture
def broker(request, make_mosquitto, tmp_path):
    """Start a mosquitto with the example settings, a user for each block of access rules, and one without rules."""
    examples = request.config.rootpath / "deploy" / "mosquitto"
    rules = (examples / "earshot.acl").read_text()
    users = [line.removeprefix("user ") for line in rules.splitlines() if line.startswith("user ")]
    (tmp_path / "earshot.acl").write_text(rules)
    (tmp_path / "earshot.passwd").touch()
    for user in (*users, "attic"):
        command = ["mosquitto_passwd", "-b", tmp_path / "earshot.passwd", user, f"{user}'s password"]
        subprocess.run(command, check=True)
    lines = [line.replace(FOLDER, f"{tmp_path}/") for line in (examples / "earshot.conf").read_text().splitlines()]
    settings = [line for line in lines if line and not line.startswith(("#", "listener"))]
    assert sorted(line.split()[0] for line in settings) == sorted(SETTINGS)
    broker = make_mosquitto("\n".join([*settings, "user root"]))
    broker.start()
    return broker


@pytest.fixture
def connect(broker):
    """Return a function that connects as a user with the right password."""
    peers = []

    def connect_user(user):
        peers.append(Peer(broker, user, f"{user}'s password"))
        return peers[-1]

    yield connect_user
    for peer in peers:
        peer.close()


def test_a_device_and_home_assistant_have_access(broker, connect, demo_recording, bundle_path, tmp_path):
    """The daemon logs in, publishes events and discovery, and executes commands of Home Assistant."""
    home = connect("homeassistant")
    (tmp_path / "password").write_text("balcony's password\n")
    command = [sys.executable, "-m", "device", "run", "--input", demo_recording, "--speed", "max"]
    for setting in (f"mqtt.port={broker.port}", "mqtt.username=balcony", f"mqtt.password_file={tmp_path}/password"):
        command += ["--set", setting]
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "EARSHOT_NODE_ID": "balcony"}
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(command, env=environment, stderr=log)
    try:
        wait_until(lambda: len(home.payloads("earshot/balcony/event")) >= 8, 120, "the events")
        assert home.last("homeassistant/device/earshot_balcony/config")
        home.publish("earshot/balcony/command/listening", "OFF")
        home.until("earshot/balcony/listening", b"OFF")
        home.publish("homeassistant/status", "online")
        discovery = "homeassistant/device/earshot_balcony/config"
        wait_until(lambda: len(home.payloads(discovery)) >= 2, 60, "the discovery after Home Assistant's birth message")
    finally:
        daemon.terminate()
        daemon.wait(30)
    assert "access rules" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("user", "forbidden"),
    [
        ("balcony", ["earshot/attic/event", "earshot/attic/command/listening", "homeassistant/status"]),
        ("balcony", ["homeassistant/device/earshot_attic/config"]),
        ("homeassistant", ["earshot/balcony/event", "homeassistant/device/earshot_balcony/config"]),
        ("reader", ["earshot/balcony/command/listening", "earshot/balcony/event"]),
        ("attic", ["earshot/attic/event"]),
    ],
)
def test_forbidden_topics_are_dropped(connect, user, forbidden):
    """A message to a topic that the user may not write is not delivered."""
    home, balcony, other = connect("homeassistant"), connect("balcony"), connect(user)
    for topic in forbidden:
        other.publish(topic, "forged")
    wait_until(lambda: other.acknowledged == len(forbidden), 10, "the broker's acknowledgements")
    home.publish("earshot/balcony/command/listening", "last")
    balcony.publish("earshot/balcony/status", "last")
    home.until("earshot/balcony/status", b"last", 10)
    balcony.until("earshot/balcony/command/listening", b"last", 10)
    assert b"forged" not in {message.payload for peer in (home, balcony) for message in peer.messages}


def test_a_device_receives_only_its_own_commands(connect):
    """A device does not receive the commands of another node."""
    home, balcony, reader = connect("homeassistant"), connect("balcony"), connect("reader")
    for node in ("attic", "balcony"):
        home.publish(f"earshot/{node}/command/listening", "ON")
        reader.until(f"earshot/{node}/command/listening", b"ON", 10)
    balcony.until("earshot/balcony/command/listening", b"ON", 10)
    assert {message.topic for message in balcony.messages} == {"earshot/balcony/command/listening"}


@pytest.mark.parametrize(("user", "password"), [(None, None), ("balcony", "wrong"), ("nobody", "nobody's password")])
def test_a_wrong_login_is_refused(broker, user, password):
    """No password, a wrong password, and an unknown user are refused, with the cure."""
    config = MqttConfig(host="127.0.0.1", port=broker.port, username=user)
    with (
        pytest.raises(UnavailableError, match=r"refuses the connection.*mqtt\.password_file"),
        Subscriber(config, password),
    ):
        pass


@pytest.mark.parametrize(("user", "node_id", "faults"), [("balcony", "balcony", set()), ("balcony", "attic", "most")])
def test_the_check_tries_the_access_rules(broker, tmp_path, user, node_id, faults):
    """`earshot check` passes with the example's rules, and names each topic that they forbid with another node_id."""
    (tmp_path / "password").write_text(f"{user}'s password\n")
    mqtt = MqttConfig(host="127.0.0.1", port=broker.port, username=user, password_file=tmp_path / "password")
    results = list(BrokerChecks(Config(node_id=node_id, mqtt=mqtt), "siren").results())
    found = {result.check for result in results if result.state == "fault"}
    if faults == "most":
        assert found == {result.check for result in results} - {"broker", "receive birth", "receive commands"}
    else:
        assert found == faults
