import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from support import wait_until

from device.cli.main import main
from device.errors import ConfigError
from device.service.status_reporter import RunStatus
from device.service.supervisor import Supervisor
from device.service.systemd import journal_handler, systemd_notify, watchdog_seconds

RATE = 16000
BLOCK = np.zeros(480, np.int16)


class Daemon:
    """A service whose stages do nothing, run on a thread of its own; what systemd is told is in `told`."""

    def __init__(self, load, watchdog=None):
        self.told, self.ran_with = [], []
        self.silent = {"listening": 0.0, "outbox": 0.0}
        self.service = Supervisor(load, self.told.append, watchdog)
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        parts = {part: lambda part=part: self.silent[part] for part in self.silent}
        with self.service as service:
            for settings, stop in service.generations():
                self.ran_with.append(settings)
                with service.reporting(RunStatus(lambda settings=settings: f"runs with {settings}", parts)):
                    service.ready()
                    stop.wait()

    def until_told(self, message, times=1):
        wait_until(lambda: self.told.count(message) >= times, 10, f"{message}, {times} times,")

    def __enter__(self):
        self._thread.start()
        self.until_told("READY=1")
        return self

    def __exit__(self, *_):
        self.service.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_start_and_an_end_are_told():
    """The start, being ready, how it is, and the end are told, in this order."""
    with Daemon(lambda: "one") as daemon:
        daemon.until_told("STATUS=runs with one")
    assert daemon.told == ["STATUS=starts", "READY=1", "STATUS=runs with one", "STOPPING=1\nSTATUS=stops"]


def test_a_reload_runs_with_the_new_settings():
    """What runs is ended and begun again with the new settings; systemd is told before and after."""
    versions = iter(["one", "two", "three"])
    with Daemon(lambda: next(versions)) as daemon:
        for number in (2, 3):
            daemon.service.reload()
            daemon.until_told("READY=1", number)
    assert daemon.ran_with == ["one", "two", "three"]
    reloading = [message for message in daemon.told if message.startswith("RELOADING=1\nMONOTONIC_USEC=")]
    assert len(reloading) == 2
    assert daemon.told.index(reloading[0]) < daemon.told.index("STATUS=runs with two")


def test_settings_with_faults_are_refused(caplog):
    """The old settings go on untouched, and all faults are told, in the log and in the status, until they are gone."""
    answers = iter(["one", ConfigError("first fault\nsecond fault"), "two"])

    def load():
        answer = next(answers)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    with Daemon(load) as daemon:
        daemon.service.reload()
        daemon.until_told("STATUS=runs with one. NOT RELOADED: first fault; second fault")
        assert daemon.ran_with == ["one"]
        daemon.service.reload()
        daemon.until_told("STATUS=runs with two")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors[:2] == ["first fault", "second fault"]


def test_a_stop_during_a_reload_ends_it():
    """Who is told to stop while new settings are read stops, and does not begin with them."""
    reading, go_on = threading.Event(), threading.Event()
    answers = iter(["one", "two"])

    def load():
        answer = next(answers)
        if answer == "two":
            reading.set()
            go_on.wait(10)
        return answer

    with Daemon(load) as daemon:
        daemon.service.reload()
        assert reading.wait(10)
        daemon.service.stop()
        go_on.set()
    assert daemon.ran_with == ["one"]


@pytest.mark.parametrize("part", ["listening", "outbox"])
def test_the_watchdog_is_fed_only_while_all_parts_live(caplog, part):
    """A part that owes a sign of life for half the watchdog's time is named, and systemd hears no more."""
    with Daemon(lambda: "one", watchdog=0.08) as daemon:
        daemon.until_told("WATCHDOG=1", 3)
        daemon.silent[part] = 0.05
        wait_until(lambda: caplog.records, 10, "the line that names the part")
        fed = daemon.told.count("WATCHDOG=1")
        daemon.silent[part] = 0.03
        daemon.until_told("WATCHDOG=1", fed + 1)
    hangs, lives = [record.getMessage() for record in caplog.records]
    assert hangs.startswith(f"{part}: no progress")
    assert lives == "all parts make progress again"


def test_nobody_is_told_outside_systemd():
    """Without systemd's variables there is no notification, no watchdog and no journal."""
    assert systemd_notify({}) is None
    assert watchdog_seconds({}) is None
    assert journal_handler({}) is None


def test_the_watchdog_s_time_is_the_unit_s():
    """It counts in microseconds, and only for the process that it names."""
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 60.0
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}) is None


def test_a_service_without_systemd_python_says_so(monkeypatch, capsys):
    """Whom systemd waits for, and who cannot tell it, ends at once and names the package."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    assert main(["run"]) == 69
    assert "systemd-python is not installed" in capsys.readouterr().err


def test_a_socket_of_nobody_is_told(monkeypatch, capsys, tmp_path):
    """A variable that was inherited and leads nowhere is named."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert main(["run"]) == 69
    assert capsys.readouterr().err.startswith("earshot: $NOTIFY_SOCKET: cannot be notified")


@pytest.fixture
def manager(tmp_path):
    """A socket as systemd's; gives its path and all that came over it."""
    told = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(0.1)
        ended = threading.Event()

        def read():
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    told.extend(notified.recv(65536).decode().splitlines())

        thread = threading.Thread(target=read)
        thread.start()
        yield tmp_path / "notify", told
        ended.set()
        thread.join()


def test_the_daemon_tells_systemd(manager, bundle_path, tmp_path):
    """The real daemon, without a microphone, is ready, says why it hears nothing, feeds the watchdog, reloads, ends."""
    path, told = manager
    config = tmp_path / "config.yaml"

    def configure(lines):
        config.write_text(f"model: {{bundle: {bundle_path}}}\nmqtt: {{port: 1}}\n{lines}")

    def until(begin, times=1):
        wait_until(lambda: sum(line.startswith(begin) for line in told) >= times, 60, f"{begin!r}")

    configure("audio: {device: first}")
    environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "40000000", "STATE_DIRECTORY": str(tmp_path)}
    daemon = subprocess.Popen(
        [sys.executable, "-m", "device", "run", "-c", config], env=os.environ | environment, stderr=subprocess.PIPE
    )
    try:
        until("READY=1")
        until("STATUS=no microphone matches audio.device 'first'")
        until("WATCHDOG=1")

        configure("audio: {devise: second}\nnode_id: a/b")
        daemon.send_signal(signal.SIGHUP)
        until("READY=1", 2)
        wait_until(lambda: any("devise" in line and "node_id" in line for line in told), 60, "both faults")

        configure("audio: {device: second}")
        daemon.send_signal(signal.SIGHUP)
        until("READY=1", 3)
        until("STATUS=no microphone matches audio.device 'second'")

        daemon.send_signal(signal.SIGTERM)
        _, errors = daemon.communicate(timeout=60)
    finally:
        daemon.kill()
    assert daemon.returncode == 0, errors
    assert "STOPPING=1" in told
    assert b"Traceback" not in errors
