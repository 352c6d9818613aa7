"""Fixtures of the tests of deployment."""

import pytest
from fake_machine import FakeMachine


@pytest.fixture
def machine(tmp_path):
    """Make a simulated machine without Earshot."""
    return FakeMachine(tmp_path)
