"""Tests of `earshot notify` as users start it: a process, a real broker, a real publisher, an HTTP service."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from broker_support import publishing
from support import Peer, free_port, wait_until

from device.cli.main import main
from device.util.clock import CLOCK, rfc3339


def event(kind, label="siren", event_id="one", **more):
    """Return an event message as the daemon hands it to the publisher."""
    times = {"start_time": rfc3339(CLOCK.now()), "duration_seconds": more.pop("seconds", None)}
    message = {"id": f"{event_id}-{kind}", "event_id": event_id, "type": kind, "label": label, "confidence": 0.93}
    return message | times | {"scores": {label: 0.93}, "node_id": "balcony", "replayed": False} | more


@pytest.fixture
def write_config(tmp_path, http_service):
    """Return a function that writes config and services: `phone` works, `down` does not."""

    def write(port=1, services="", **notify):
        lines = services or f"phone=json://{http_service.address}/\ndown=json://user:s3cret@127.0.0.1:{free_port()}/\n"
        (tmp_path / "services").write_text(lines)
        notify = {"services_file": "services", **notify}
        (tmp_path / "config.yaml").write_text(json.dumps({"mqtt": {"port": port}, "notify": notify}))
        return tmp_path / "config.yaml"

    return write


@contextmanager
def notify(config, *arguments):
    """Run the command until SIGTERM, which must end it with 0; yield its output file and its log."""
    command = [sys.executable, "-m", "device", "notify", "-c", config, *arguments]
    output, log = config.with_name("output"), config.with_name("log")
    with output.open("w") as out, log.open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "TZ": "Europe/Berlin"})
    try:
        yield output, log
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def is_subscribed(mosquitto_log):
    """Return whether mosquitto has logged the subscription of the last filter."""
    return "earshot/+/sound/+" in mosquitto_log.read_text()


def test_events_of_a_real_publisher_become_notifications(make_mosquitto, write_config, http_service, tmp_path):
    """A siren is notified at once, a drill once it lasts; a short one, another label and a late one are not.

    The broker may be away at the start. A service that is down delays nothing, and is logged once without its address.
    """
    broker = make_mosquitto("allow_anonymous true\nlog_type all")
    rules = [
        {"labels": ["siren"], "confidence": 0.9, "services": ["phone", "down"]},
        {"labels": ["drilling"], "lasting_seconds": 1, "services": ["phone"]},
    ]
    config = write_config(broker.port, rules=rules)
    with notify(config) as (_, log):
        wait_until(lambda: "does not answer" in log.read_text(), 60, "the report of the broker")
        broker.start()
        wait_until(lambda: is_subscribed(tmp_path / "mosquitto.log"), 60, "the subscription")
        with publishing(broker, tmp_path) as publisher, closing(Peer(broker)) as peer:
            wait_until(lambda: publisher.status().connected, 20, "the publisher's connection")
            publisher.send(event("start", "drilling", "short"))
            publisher.send(event("end", "drilling", "short", seconds=0.5))
            publisher.send(event("start", "dog_bark", "dog"))
            peer.publish("earshot/balcony/event/backlog", json.dumps(event("start", "siren", "late")))
            publisher.send(event("start", "drilling", "long"))
            publisher.send(event("start", "siren", "two"))
            wait_until(lambda: len(http_service.messages) == 2, 20, "the notifications")
    first, second = http_service.messages
    assert (first["title"], second["title"]) == ("Siren (balcony)", "Drilling (balcony)")
    assert "Confidence: 93 %." in first["message"]
    assert "has lasted for more than 1 s" in second["message"]
    text = log.read_text()
    assert text.count("service down refuses the connection") == 1
    assert "s3cret" not in text
    assert "Traceback" not in text


def test_a_dry_run_prints_and_sends_nothing(mosquitto, peer, write_config, http_service):
    """Each notification is printed as one JSON object, and no service gets it."""
    config = write_config(mosquitto.port, rules=[{}], language="de")
    with notify(config, "--dry-run", "--json") as (output, _):

        def is_printed():
            peer.publish("earshot/balcony/event", json.dumps(event("start")))
            return output.read_text()

        wait_until(is_printed, 60, "the notification")
    (line,) = output.read_text().splitlines()
    content = json.loads(line)
    assert (content["title"], content["services"]) == ("Sirene (balcony)", [])
    assert http_service.messages == []


def test_each_service_is_tested(write_config, http_service, capsys):
    """A test message goes to each service; one that fails is printed with its cure, and the exit code is 69."""
    config = str(write_config())
    assert main(["notify", "--test", "-c", config]) == 69
    works, fails = capsys.readouterr().out.splitlines()
    assert works == "ok     phone took the message"
    assert fails.startswith("FAULT  down refuses the connection. Check the network")
    assert http_service.bodies()[0].startswith("Earshot sent this message to phone at ")
    write_config(services=f"json://{http_service.address}/")
    assert main(["notify", "--test", "--json", "-c", config]) == 0
    assert json.loads(capsys.readouterr().out) == {"service": "JSON of line 1", "state": "ok", "message": ""}


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        ({}, [], 78, "notify.rules: is empty, so nothing would be sent"),
        ({"rules": [{}], "services_file": None}, [], 78, "notify.services_file: no service"),
        ({"rules": [{"services": ["phne"]}]}, [], 78, "no line `phne=`. Its names are: phone, down"),
        ({"rules": [{"services": ["phne"]}]}, ["--dry-run"], 78, "no line `phne=`"),
        ({"rules": [{"lasting_seconds": 4000}]}, [], 78, "must be less than or equal to 3600"),
        ({"rules": [{"pause_seconds": 9}]}, [], 78, "pause_seconds has no effect without lasting_seconds"),
        ({"rules": [{}], "services_file": "none"}, ["--test"], 78, "not readable (No such file or directory)"),
        ({"rules": [{}]}, ["--dry-run"], 69, "does not answer"),
        ({"rules": [{}]}, ["--dry-run", "--test"], 2, ""),
    ],
)
def test_a_fault_is_one_line_with_its_cure(write_config, capsys, monkeypatch, content, options, code, message):
    """Missing rules, services and names, and an absent broker in a dry run, are one line with an exit code."""
    monkeypatch.setattr("device.config.secrets.NOTIFY_CREDENTIAL", write_config().with_name("no credential"))
    config = str(write_config(free_port(), **content))
    if code == 2:
        with pytest.raises(SystemExit, match="2"):
            main(["notify", "-c", config, *options])
        return
    assert main(["notify", "-c", config, *options]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_duration_that_no_event_reaches_is_logged(write_config, caplog):
    """A rule for longer sounds than events can be would never apply, so a warning names both settings."""
    rules = [{"lasting_seconds": 599}, {"lasting_seconds": 600}, {"lasting_seconds": 600, "pause_seconds": 60}]
    config = str(write_config(free_port(), rules=rules))
    assert main(["notify", "--dry-run", "-c", config]) == 69
    (line,) = [record.getMessage() for record in caplog.records if "lasting_seconds" in record.getMessage()]
    assert line.startswith("notify.rules.1.lasting_seconds: is 600, and an event ends after events.maximum_seconds")


def test_without_apprise_the_package_is_named(write_config, capsys, monkeypatch):
    """Without its package the command ends with 69 and the command that installs it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.delitem(sys.modules, "device.notify.services", raising=False)
    assert main(["notify", "--test", "-c", str(write_config())]) == 69
    assert "pip install 'earshot[notify]'" in capsys.readouterr().err
