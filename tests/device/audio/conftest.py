"""Fixtures of the tests of audio."""

import pytest


@pytest.fixture
def plugged_in(sound_server, monkeypatch):
    """Connect this process to the sound server's microphone."""
    for name, value in sound_server.environment.items():
        if name.startswith("PULSE_"):
            monkeypatch.setenv(name, value)
    return sound_server
