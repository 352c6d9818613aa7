"""Tests of the state directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from device.config.paths import state_directory


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"STATE_DIRECTORY": "/a", "XDG_STATE_HOME": "/b"}, "/a"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/b"}, "/b/earshot"),
        ({"XDG_STATE_HOME": "", "HOME": "/c"}, "/c/.local/state/earshot"),
    ],
)
def test_the_state_directory_comes_from_the_environment(monkeypatch, environment, folder):
    """$STATE_DIRECTORY has priority over the user's folder of states, that over the home directory."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert state_directory() == Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as a user without an account")
def test_a_user_without_home_has_a_cure():
    """A user without an account and HOME gets one line with its cure, and no traceback."""
    program = "from device.config.paths import state_directory\nimport os; os.setuid(54321)\nstate_directory()"
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert "ConfigError: STATE_DIRECTORY: not set, and this user has no home directory. Set it" in result.stderr
