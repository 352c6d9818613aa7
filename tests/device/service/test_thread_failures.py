"""Tests of the daemon's threads: each survives an unexpected exception in its own work."""

import ast
import threading
from pathlib import Path

import pytest
from supervised_daemon import SupervisedDaemon
from support import wait_until

from device.config.models import MqttConfig, OutboxConfig
from device.monitoring.health_reporter import HealthReporter
from device.mqtt.publisher import Publisher
from device.outbox.queue import Outbox
from device.service.status_reporter import RunStatus, StatusReporter
from device.util.supervised_thread import THREADS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def failures(monkeypatch):
    """Shorten the pause; return the function that counts the failures since the start of the test."""
    monkeypatch.setattr("device.util.supervised_thread._FIRST_PAUSE_SECONDS", 0.05)
    before = THREADS.failures
    return lambda: THREADS.failures - before


def fails_once():
    """Return a function that raises at its first call, and the list of its later calls."""
    calls = []
    first = iter([True])

    def function(*arguments):
        if next(first, False):
            raise RuntimeError("unexpected")
        calls.append(arguments)

    return function, calls


@pytest.fixture
def publisher(mosquitto, tmp_path):
    """Publish to a broker."""
    limits = OutboxConfig(free_megabytes=0)
    with (
        Outbox(tmp_path / "outbox.sqlite", limits) as outbox,
        Publisher(MqttConfig(port=mosquitto.port), None, "balcony", outbox) as publisher,
    ):
        publisher.connect()
        yield publisher


def test_the_health_thread_survives(failures):
    """A report that fails is followed by others."""
    report, calls = fails_once()
    with HealthReporter(report, threading.Event()):
        wait_until(lambda: calls, 10, "the next report")
    assert failures() == 1


def test_the_command_thread_survives(publisher, peer, failures):
    """A handler that fails loses its own command only."""
    handler, calls = fails_once()
    publisher.subscribe_commands(handler)
    wait_until(lambda: publisher.status().connected, 20, "the connection")
    wait_until(lambda: peer.publish("earshot/balcony/command/x", "1") and calls, 20, "the next command")
    assert failures() == 1


def test_the_publisher_survives(publisher, peer, failures):
    """A job that fails takes no other with it: events before and after it are delivered, in their order."""
    wait_until(lambda: publisher.status().connected, 20, "the connection")
    publisher.send({"number": 1, "replayed": False})
    publisher._inbox.put(fails_once()[0])
    publisher.send({"number": 2, "replayed": False})
    publisher.send({"number": {1, 2}})  # no JSON: it cannot be stored, and the others must not wait for it
    publisher.send({"number": 3, "replayed": False})
    assert publisher.wait_delivered(20) == 0
    wait_until(lambda: len(peer.payloads("earshot/balcony/event")) == 3, 10, "the events")
    assert failures() == 2


def test_the_connection_survives(publisher, peer, failures, monkeypatch):
    """An exception on the connection's thread ends the connection; the next one delivers the events."""
    wait_until(lambda: publisher.status().connected, 20, "the connection")
    function, _ = fails_once()
    monkeypatch.setattr(publisher, "on_acknowledge", function)
    publisher.send({"number": 1, "replayed": False})
    wait_until(failures, 20, "the failure")
    monkeypatch.undo()
    assert publisher.wait_delivered(30) == 0


def test_the_supervisor_survives(failures):
    """Settings that fail to load for an unexpected reason are refused, and the next reload succeeds."""
    load, _ = fails_once()
    versions = iter(["one", None, "two"])

    def load_version():
        version = next(versions)
        return version or load()

    with SupervisedDaemon(load_version) as daemon:
        daemon.supervisor.reload()
        daemon.wait_for_message("STATUS=runs with one. NOT RELOADED: internal error (RuntimeError('unexpected'))")
        daemon.supervisor.reload()
        daemon.wait_for_message("STATUS=runs with two")
    assert failures() == 1


def test_the_watchdog_is_not_fed_while_a_thread_is_missing():
    """Systemd restarts a daemon whose thread does not come back."""
    messages, missing = [], []
    reporter = StatusReporter(messages.append, 10.0, lambda: missing)
    run = RunStatus(lambda: "runs", {})
    for missing[:] in ([], ["publisher"], ["publisher"], []):
        reporter.report(run, "")
    assert messages.count("WATCHDOG=1") == 2


def test_all_threads_of_the_daemon_are_supervised():
    """No module of the daemon starts a thread of its own kind. The capture process ends with its thread."""
    workers = ("capture_worker", "stream_worker", "worker")  # programs of their own, which end with their threads
    alone = {"device/util/supervised_thread.py", *(f"device/audio/{name}.py" for name in workers)}
    for path in (ROOT / "device").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        starts = {node.attr for node in calls} & {"Thread", "Timer", "loop_start", "ThreadPoolExecutor"}
        assert not starts or path.relative_to(ROOT).as_posix() in alone, path
