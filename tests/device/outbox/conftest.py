"""Fixtures of the outbox's tests."""

import pytest


@pytest.fixture
def path(tmp_path):
    """Return the path of the outbox's file."""
    return tmp_path / "outbox.sqlite"
