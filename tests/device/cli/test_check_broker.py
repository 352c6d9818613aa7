"""Tests of `earshot check` at a broker, of its report, and of `earshot events` without a right to subscribe."""

import json
import zipfile

import pytest
from fake_broker import DENIED, FakeBroker, Rule
from mqtt_packets import PUBLISH, SUBSCRIBE, Message

from device.cli import check_broker
from device.cli.check_broker import BrokerChecks
from device.cli.main import main
from device.cli.support_report import hide, write_report
from device.config.loader import load_config
from device.config.models import Config, MqttConfig, NotifyConfig, WebConfig
from device.outbox.queue import Outbox
from device.util.clock import Stamp

LABEL_STATES = ["sound", "threshold", "cooldown", "enabled"]
STATES = ["status", "health", "listening", "sounding", "today", *LABEL_STATES, "spectrogram", "unknown", "level"]
KINDS = ["event", "backlog", *STATES, "discovery"]
NAMES = ["broker", *(f"publish {kind}" for kind in KINDS), "receive commands", "receive birth"]
DISCOVERY = "homeassistant/device/earshot_balcony/config"
TOPICS = {
    "publish event": "earshot/balcony/event",
    "publish backlog": "earshot/balcony/event/backlog",
    "publish sound": "earshot/balcony/sound/+",
    "publish status": "earshot/balcony/status",
    "publish unknown": "earshot/balcony/unknown/last",
    "publish level": "earshot/balcony/level",
    "publish discovery": DISCOVERY,
    "receive commands": "earshot/balcony/command/#",
    "receive birth": "homeassistant/status",
}


def results(broker, **mqtt):
    config = Config(node_id="balcony", mqtt=MqttConfig(host="127.0.0.1", port=broker.port, **mqtt))
    return {result.check: result for result in BrokerChecks(config, "siren", unknown=True).results()}


def faults(found):
    return [name for name, result in found.items() if result.state != "ok"]


@pytest.mark.parametrize("level", [4, 5])
def test_a_broker_without_faults_passes_and_nothing_is_changed(level):
    """Each kind of topic is one line; retained messages stay as they were, and no other one is added."""
    with FakeBroker(levels=(level,)) as broker:
        before = dict.fromkeys(("earshot/balcony/status", "earshot/balcony/health", DISCOVERY), b"before")
        for topic, payload in before.items():
            broker.distribute(Message(topic, payload, retain=True))
        found = results(broker)
        assert list(found) == NAMES
        assert faults(found) == []
        assert {topic: message.payload for topic, message in broker.retained.items()} == before
        published = {each.message.topic for each in broker.received}
        assert {"earshot/balcony/event", "earshot/balcony/sound/siren", DISCOVERY} <= published


def test_messages_that_cannot_be_read_are_not_deleted(monkeypatch):
    """Without the right to read, no empty retained message is published, nor an empty discovery message."""
    monkeypatch.setattr(check_broker, "_ECHO_SECONDS", 0.1)
    with FakeBroker(unreadable=("#",)) as broker:
        for topic in ("earshot/balcony/status", DISCOVERY):
            broker.distribute(Message(topic, b"before", retain=True))
        found = results(broker)
        assert faults(found) == ["receive commands"]
        assert "delivers no message. Allow this user to read it" in found["receive commands"].message
        assert broker.retained["earshot/balcony/status"].payload == b"before"
        assert not any(each.message.retain for each in broker.received)
        assert all(each.message.payload for each in broker.received if each.message.topic == DISCOVERY)


@pytest.mark.parametrize("name", TOPICS)
def test_each_refused_topic_is_a_fault(name):
    """A topic that the broker refuses is one fault, with the topic and the access rule as the cure."""
    to = SUBSCRIBE if name.startswith("receive") else PUBLISH
    with FakeBroker(Rule(TOPICS[name], code=DENIED, to=to)) as broker:
        found = results(broker)
    assert faults(found) == [name]
    assert (found[name].state, found[name].exit_code) == ("fault", 69)
    assert "(Not authorized). Allow this user to" in found[name].message


def test_a_topic_that_ends_the_connection_is_one_fault():
    """A broker that disconnects at one topic fails that check alone."""
    with FakeBroker(Rule("earshot/balcony/spectrogram", disconnects=True)) as broker:
        found = results(broker)
    assert faults(found) == ["publish spectrogram"]
    assert "disconnected, after messages on earshot/balcony/spectrogram" in found["publish spectrogram"].message


def test_limits_are_warnings():
    """QoS 0 alone and no retained messages are warnings with their cures, and the limits are obeyed."""
    with FakeBroker(limits={"RetainAvailable": 0, "MaximumQoS": 0}) as broker:
        found = list(BrokerChecks(Config(mqtt=MqttConfig(host="127.0.0.1", port=broker.port)), "siren").results())
        assert broker.violations == []
    assert [each.message.split(", so")[0] for each in found if each.state == "warning"] == [
        "the broker keeps no retained messages",
        "the broker supports QoS 0 alone",
    ]


def test_events_reports_a_refused_subscription(capsys):
    """`earshot events` ends with 69, the reason and the cure, if the broker refuses one of its subscriptions."""
    rule = Rule("earshot/+/event/backlog", code=DENIED, to=SUBSCRIBE)
    for levels, reason in (((4, 5), "Not authorized"), ((4,), "Unspecified error")):
        rule.times = 1
        with FakeBroker(rule, levels=levels) as broker:
            assert main(["events", "--set", f"mqtt.port={broker.port}", "--set", "mqtt.host=127.0.0.1"]) == 69
        error = capsys.readouterr().err
        assert f"refuses the subscription to earshot/+/event/backlog ({reason}). Allow this user" in error


PASSWORD = 'hu"nter2 ü/\\'
TOKEN = "fedcba9876543210"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return settings with user and password, and a state directory with an outbox."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        outbox.append({"number": 1}, Stamp(0.0, 0.0))
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "token").write_text(TOKEN + "\n")
    settings = "mqtt: {username: someone, password_file: password}\nweb: {token_file: token}\n"
    (tmp_path / "config.yaml").write_text(settings)
    return load_config(tmp_path / "config.yaml", environment={})


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_report_has_all_parts_and_no_secret(config, tmp_path, monkeypatch):
    """Settings, versions, results, health, log and outbox are in the report; password, token and user are not."""
    log = f"password: {PASSWORD}\nmqtt://someone:{PASSWORD}@host\n--set mqtt.password=hunter3\ntoken = abc"
    monkeypatch.setattr("device.cli.support_report._log", lambda: f"{log}\nGET /?{TOKEN}")
    health = json.dumps({"outbox": {"depth": 1}, "x": PASSWORD}).encode()
    write_report(tmp_path / "report.zip", config, [], health)
    found = contents(tmp_path / "report.zip")
    everything = "\n".join(found.values())
    for secret in (PASSWORD, json.dumps(PASSWORD)[1:-1], "nter2", "hunter3", "someone", "= abc", TOKEN):
        assert secret not in everything, secret
    assert json.loads(found["config.json"])["mqtt"]["password_file"] == str(tmp_path / "password")
    assert json.loads(found["outbox.json"])["last_sequence"] == 1
    assert json.loads(found["versions.json"])["paho-mqtt"]
    assert json.loads(found["health.json"])["outbox"] == {"depth": 1}


def test_the_report_hides_notification_services(tmp_path, monkeypatch):
    """The address of a notification service contains a secret; the log of the notifications is part of the report."""
    address = "ntfys://user:hunter4@host/topic"
    (tmp_path / "services").write_text(f"# phones\nphone={address}\n")
    monkeypatch.setattr("device.cli.support_report._log", lambda: f"sent to {address}")
    write_report(tmp_path / "report.zip", Config(notify=NotifyConfig(services_file=tmp_path / "services")), [], None)
    assert address not in "".join(contents(tmp_path / "report.zip").values())
    write_report(tmp_path / "report.zip", Config(notify=NotifyConfig(services_file=tmp_path / "hunter4")), [], None)
    assert "hunter4" not in contents(tmp_path / "report.zip")["config.json"]


def test_a_password_in_place_of_its_file_is_hidden(tmp_path):
    """A secret that was typed in place of its file, or after a wrong key, is in no part of the report."""
    config = Config(mqtt=MqttConfig(password_file=tmp_path / "hunter2"), web=WebConfig(token_file=tmp_path / "hunter3"))
    write_report(tmp_path / "report.zip", config, [], None)
    assert "hunter" not in "".join(contents(tmp_path / "report.zip").values())
    assert hide("--set mqtt.password=hunter2: mqtt.password: no such key", []) == (
        "--set mqtt.password=(hidden) mqtt.password: (hidden) such key"
    )
    assert hide("mqtt.password_file: /etc/credstore/x", []) == "mqtt.password_file: /etc/credstore/x"


def test_check_writes_the_report(config, tmp_path, monkeypatch, capsys):
    """`earshot check --report FILE` prints the checks and writes the report, also without a broker."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "report.zip"
    main(["check", "--report", str(path), "-c", str(tmp_path / "config.yaml"), "--set", "model.bundle=nowhere"])
    checks = json.loads(contents(path)["check.json"])
    assert next(each["check"] for each in checks if each["state"] == "fault") == "bundle"
    assert str(path) in capsys.readouterr().err
    assert main(["check", "--report", "/nowhere/report.zip", "-c", "/nowhere/config.yaml"]) == 69
    assert "Choose another file" in capsys.readouterr().err
