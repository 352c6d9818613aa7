"""Fixtures and messages of the history's tests."""

import pytest


@pytest.fixture
def path(tmp_path):
    """Return the path of the history's file."""
    return tmp_path / "history.db"
