"""Tests of the token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.util.token_bucket import TokenBucket


class ManualClock:
    """Clock that only the test moves."""

    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


def test_a_burst_is_allowed_at_once():
    """The first tokens need no time; then the bucket is empty."""
    bucket = TokenBucket(3, 2, ManualClock())
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize(("seconds", "taken"), [(0.4, 0), (0.5, 1), (1.0, 2), (3600.0, 3)])
def test_tokens_are_added_with_time(seconds, taken):
    """At 2 a second, half a second adds one token; an hour adds no more than the burst."""
    clock = ManualClock()
    bucket = TokenBucket(3, 2, clock)
    for _ in range(3):
        bucket.take()
    clock.time += seconds
    assert sum(bucket.take() for _ in range(10)) == taken


def test_refused_attempts_cost_nothing():
    """Fractions of a token add up while attempts are refused."""
    clock = ManualClock()
    bucket = TokenBucket(1, 1, clock)
    assert bucket.take()
    results = []
    for _ in range(4):
        clock.time += 0.25
        results.append(bucket.take())
    assert results == [False, False, False, True]


@given(pauses=st.lists(st.floats(0, 10), max_size=50), burst=st.integers(1, 10), per_second=st.floats(0.1, 10))
def test_the_rate_is_never_exceeded(pauses, burst, per_second):
    """Over any pauses at most the burst and the steady rate together are allowed."""
    clock = ManualClock()
    bucket = TokenBucket(burst, per_second, clock)
    taken = 0
    for pause in pauses:
        clock.time += pause
        taken += bucket.take()
    assert taken <= burst + sum(pauses) * per_second + 1e-6
