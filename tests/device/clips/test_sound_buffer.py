"""Tests of the buffer of classified sound."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device.clips.sound_buffer import SoundBuffer

SOUND = np.arange(1, 30_000, dtype=np.int16)


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12), st.integers(100, 3000))
def test_the_last_samples_are_kept_whatever_the_pauses(hops, capacity):
    """Overlapping windows and windows after pauses are kept from the newest on; what lies between is zero."""
    buffer, expected, start = SoundBuffer(capacity), np.zeros(60_000, np.int16), 0
    for hop in hops:
        start = min(start + hop, 29_000)
        window = SOUND[start : start + 300]
        buffer.write(window, start)
        expected[start : start + len(window)] = window
    assert buffer.end == start + 300
    np.testing.assert_array_equal(buffer.read(buffer.oldest, buffer.end), expected[buffer.oldest : buffer.end])
    kept = np.count_nonzero(expected[buffer.oldest : buffer.end])
    assert kept < capacity + 300
    assert kept >= min(capacity, np.count_nonzero(expected))
