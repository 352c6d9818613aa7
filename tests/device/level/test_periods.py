"""Tests of the periods of the day and of Lden."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.config.models import LevelConfig
from device.level.periods import lden, limit_of, period_of

CONFIG = LevelConfig(limit_night_db=45.0)


def test_each_hour_has_its_period_and_limit():
    """By default the day has 12 hours from 7, the evening 4, the night 8; other hours and limits can be set."""
    periods = [period_of(hour, CONFIG) for hour in range(24)]
    assert periods == ["night"] * 7 + ["day"] * 12 + ["evening"] * 4 + ["night"]
    german = LevelConfig(day_hour=6, evening_hour=18, night_hour=22)
    assert [period_of(hour, german) for hour in (5, 6, 18, 21, 22)] == ["night", "day", "evening", "evening", "night"]
    assert (limit_of("day", CONFIG), limit_of("night", CONFIG)) == (None, 45.0)


def test_lden_is_that_of_the_directive():
    """Lden of 60, 55 and 50 dB is 60.0 dB; without one of the periods there is none."""
    assert lden({"day": 60.0, "evening": 55.0, "night": 50.0}, CONFIG) == pytest.approx(60.0)
    assert lden({"day": 65.0, "evening": 60.0, "night": 58.0}, CONFIG) == pytest.approx(66.24, abs=0.01)
    assert lden({"day": 60.0, "night": 50.0}, CONFIG) is None


@given(st.floats(0, 100))
def test_a_constant_level_has_a_fixed_penalty(level):
    """A constant level has an Lden that is 6.4 dB higher."""
    penalty = 10 * math.log10((12 + 4 * 10**0.5 + 8 * 10) / 24)
    assert lden(dict.fromkeys(("day", "evening", "night"), level), CONFIG) - level == pytest.approx(penalty)
