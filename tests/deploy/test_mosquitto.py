"""The broker's example files, taken by a real mosquitto: who gets in, and who may do what."""

import os
import subprocess
import sys

import pytest
from support import Peer, wait_until

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.subscriber import Subscriber

FOLDER = "/etc/mosquitto/"
SETTINGS = ("password_file", "acl_file", "allow_anonymous")


@pytest.fixture
def broker(request, make_mosquitto, tmp_path):
    """A mosquitto with the examples' settings, and a user for each block of the access rules and one that has none."""
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
def enter(broker):
    """Enter the broker as a user, with the right password."""
    peers = []

    def enter(user):
        peers.append(Peer(broker, user, f"{user}'s password"))
        return peers[-1]

    yield enter
    for peer in peers:
        peer.close()


def test_a_device_and_home_assistant_have_what_they_need(broker, enter, street, bundle_path, tmp_path):
    """The daemon, with its password, delivers events and its description, and obeys Home Assistant."""
    home = enter("homeassistant")
    (tmp_path / "password").write_text("balcony's password\n")
    command = [sys.executable, "-m", "device", "run", "--input", street, "--speed", "max"]
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
        described = "homeassistant/device/earshot_balcony/config"
        wait_until(lambda: len(home.payloads(described)) >= 2, 60, "the answer to Home Assistant's birth")
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
def test_nobody_may_do_more(enter, user, forbidden):
    """What a user may not say does not arrive, whoever it pretends to be."""
    home, balcony, other = enter("homeassistant"), enter("balcony"), enter(user)
    for topic in forbidden:
        other.publish(topic, "forged")
    wait_until(lambda: other.acknowledged == len(forbidden), 10, "the broker's answers")
    home.publish("earshot/balcony/command/listening", "last")
    balcony.publish("earshot/balcony/status", "last")
    home.until("earshot/balcony/status", b"last", 10)
    balcony.until("earshot/balcony/command/listening", b"last", 10)
    assert b"forged" not in {message.payload for peer in (home, balcony) for message in peer.messages}


def test_a_device_hears_only_what_is_meant_for_it(enter):
    """It sees nothing of other nodes."""
    home, balcony, reader = enter("homeassistant"), enter("balcony"), enter("reader")
    for node in ("attic", "balcony"):
        home.publish(f"earshot/{node}/command/listening", "ON")
        reader.until(f"earshot/{node}/command/listening", b"ON", 10)
    balcony.until("earshot/balcony/command/listening", b"ON", 10)
    assert {message.topic for message in balcony.messages} == {"earshot/balcony/command/listening"}


@pytest.mark.parametrize(("user", "password"), [(None, None), ("balcony", "wrong"), ("nobody", "nobody's password")])
def test_strangers_stay_out(broker, user, password):
    """Without a password, with a wrong one, and as a user that there is none of."""
    config = MqttConfig(host="127.0.0.1", port=broker.port, username=user)
    with (
        pytest.raises(UnavailableError, match=r"refuses the connection.*mqtt\.password_file"),
        Subscriber(config, password),
    ):
        pass
