"""Tests of the heartbeat: the watchdog without systemd, and the file of the health check."""

import os
import signal
import subprocess
import sys

import pytest
from support import wait_until

from device.cli.main import main
from device.service.heartbeat import Heartbeat

HANG = """
import sys, time
from pathlib import Path
from device.service.heartbeat import Heartbeat
heartbeat = Heartbeat(Path(sys.argv[1]), 0.5)
def hang_here():
    {}
heartbeat("READY=1\\nSTATUS=listens")
hang_here()
"""


def run_hang(body, file):
    """Run a process that hangs in `body`; return the completed process."""
    return subprocess.run(
        [sys.executable, "-c", HANG.format(body), file], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_without_progress_ends_with_the_stack_of_its_threads(tmp_path):
    """A process that hangs in a lock of C, where no signal handler of Python runs, ends with exit code 1."""
    done = run_hang("import threading; threading.Lock().acquire() and time.sleep(30)", tmp_path / "beat")
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "hang_here" in done.stderr


def test_a_fed_or_stopping_process_is_left_alone(tmp_path):
    """Progress starts the watchdog anew, and a process that is told to stop has the time that its stopper gives it."""
    fed = "[(time.sleep(0.2), heartbeat('WATCHDOG=1')) for _ in range(4)]"
    assert run_hang(f"{fed}; heartbeat('STOPPING=1'); time.sleep(0.7)", tmp_path / "beat").returncode == 0


def test_only_progress_touches_the_file(tmp_path):
    """The file of an earlier run is deleted; a status leaves its age as it is; the watchdog's message touches it."""
    file = tmp_path / "beat"
    file.touch()
    heartbeat = Heartbeat(file)
    assert not file.exists()
    heartbeat("STATUS=starts")
    assert not file.exists()
    heartbeat("WATCHDOG=1")
    os.utime(file, (0, 0))
    heartbeat("STATUS=no microphone\nRELOADING=1")
    assert file.stat().st_mtime == 0
    heartbeat("WATCHDOG=1")
    assert file.stat().st_mtime > 0
    heartbeat("STOPPING=1")


def test_a_heartbeat_that_cannot_be_written_is_an_error(tmp_path, capsys):
    """A folder that does not exist ends the daemon with exit code 69 and a cure."""
    assert main(["run", "--heartbeat", str(tmp_path / "none" / "beat")]) == 69
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_keeps_its_heartbeat(tmp_path, bundle_path, end):
    """The real daemon without a microphone touches the file again and again, reloads at SIGHUP, and ends with 0."""
    file, config = tmp_path / "beat", tmp_path / "config.yaml"
    config.write_text(f"model: {{bundle: {bundle_path}}}\nmqtt: {{port: 1}}\naudio: {{device: none}}\n")
    command = [sys.executable, "-m", "device", "run", "-c", config, "--heartbeat", file]
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(command, env=os.environ | {"STATE_DIRECTORY": str(tmp_path)}, stderr=log)
    try:
        wait_until(file.exists, 60, "the first heartbeat")
        os.utime(file, (0, 0))
        if end == signal.SIGTERM:
            daemon.send_signal(signal.SIGHUP)
            wait_until(lambda: "restarts with new settings" in (tmp_path / "log").read_text(), 60, "a reload")
        wait_until(lambda: file.stat().st_mtime > 0, 60, "the next heartbeat")
        daemon.send_signal(end)
        assert daemon.wait(60) == 0
    finally:
        daemon.kill()
