"""Tests of the interface to systemd: notification, watchdog time, journal, and the real daemon with a socket."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from support import wait_until

from device.cli.main import main
from device.service.systemd import journal_handler, systemd_notify, watchdog_seconds


def test_there_is_no_systemd_without_its_variables():
    """Without systemd's variables there is no notification, no watchdog and no journal."""
    assert systemd_notify({}) is None
    assert watchdog_seconds({}) is None
    assert journal_handler({}) is None


def test_the_watchdog_s_time_is_the_unit_s():
    """WATCHDOG_USEC is in microseconds, and valid only for the process WATCHDOG_PID."""
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 60.0
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}) is None


def test_a_service_without_systemd_python_names_the_package(monkeypatch, capsys):
    """A daemon that cannot notify systemd ends at once with exit code 69, because systemd would wait for it."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    assert main(["run"]) == 69
    assert "systemd-python is not installed" in capsys.readouterr().err


def test_a_notification_socket_without_a_reader_is_an_error(monkeypatch, capsys, tmp_path):
    """An inherited $NOTIFY_SOCKET without a socket is named in the error."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert main(["run"]) == 69
    assert capsys.readouterr().err.startswith("earshot: $NOTIFY_SOCKET: cannot be notified")


@pytest.fixture
def service_manager(tmp_path):
    """Open a notification socket as systemd does; return its path and the lines received so far."""
    lines = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(0.1)
        stopped = threading.Event()

        def read():
            while not stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    lines.extend(server.recv(65536).decode().splitlines())

        thread = threading.Thread(target=read)
        thread.start()
        yield tmp_path / "notify", lines
        stopped.set()
        thread.join()


def test_the_daemon_reports_to_systemd(service_manager, bundle_path, tmp_path):
    """The real daemon without a microphone reports ready, its status, watchdog, reloads and its end."""
    path, lines = service_manager
    config = tmp_path / "config.yaml"

    def configure(settings):
        config.write_text(f"model: {{bundle: {bundle_path}}}\nmqtt: {{port: 1}}\n{settings}")

    def wait_for_line(prefix, times=1):
        wait_until(lambda: sum(line.startswith(prefix) for line in lines) >= times, 60, f"{prefix!r}")

    configure("audio: {device: first}")
    environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "40000000", "STATE_DIRECTORY": str(tmp_path)}
    daemon = subprocess.Popen(
        [sys.executable, "-m", "device", "run", "-c", config], env=os.environ | environment, stderr=subprocess.PIPE
    )
    try:
        wait_for_line("READY=1")
        wait_for_line("STATUS=no microphone matches audio.device 'first'")
        wait_for_line("WATCHDOG=1")

        configure("audio: {devise: second}\nnode_id: a/b")
        daemon.send_signal(signal.SIGHUP)
        wait_for_line("READY=1", 2)
        wait_until(lambda: any("devise" in line and "node_id" in line for line in lines), 60, "both faults")

        configure("audio: {device: second}")
        daemon.send_signal(signal.SIGHUP)
        wait_for_line("READY=1", 3)
        wait_for_line("STATUS=no microphone matches audio.device 'second'")

        daemon.send_signal(signal.SIGTERM)
        _, errors = daemon.communicate(timeout=60)
    finally:
        daemon.kill()
    assert daemon.returncode == 0, errors
    assert "STOPPING=1" in lines
    assert b"Traceback" not in errors
