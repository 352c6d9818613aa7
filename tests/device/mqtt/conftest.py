"""Fixtures of the tests with the fake broker."""

import pytest

from device.mqtt import connection, delivery, event_lane, state_sender, subscriptions, suspects


def shorten(monkeypatch):
    monkeypatch.setattr(connection, "_FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(connection, "_LAST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(event_lane, "REFUSED_SECONDS", 0.1)
    monkeypatch.setattr(state_sender, "_SILENT_SECONDS", 0.3)
    monkeypatch.setattr(delivery, "_SILENT_SECONDS", 0.6)
    monkeypatch.setattr(subscriptions, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(subscriptions, "_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(suspects, "_FIRST_HOLD_SECONDS", 1.0)


@pytest.fixture
def quick(monkeypatch):
    """Shorten the pauses between connections, and those after a refusal, a silence and a suspicion."""
    shorten(monkeypatch)


@pytest.fixture(scope="module")
def quick_for_all():
    """Shorten the pauses for all examples of a property."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        yield
