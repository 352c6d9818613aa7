import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.audio.ring_buffer import RingBuffer


@given(st.lists(st.integers(0, 150), max_size=10), st.integers(40, 100), st.data())
def test_samples_are_read_as_written(lengths, capacity, data):
    """Samples that are still in the buffer are read as they were written, even of writes beyond the capacity."""
    ring = RingBuffer(capacity)
    written = np.arange(1, sum(lengths) + 1, dtype=np.int16)
    position = 0
    for length in lengths:
        ring.write(written[position : position + length], position)
        position += length
    start = data.draw(st.integers(max(0, position - capacity), position))
    end = data.draw(st.integers(start, position))
    np.testing.assert_array_equal(ring.read(start, end), written[start:end])


def test_positions_outside_the_stream_are_zeros():
    """Positions before the first sample and after the last are zeros."""
    ring = RingBuffer(8)
    ring.write(np.array([1, 2, 3], np.int16), 0)
    np.testing.assert_array_equal(ring.read(-2, 5), [0, 0, 1, 2, 3, 0, 0])


@pytest.mark.parametrize("gap", [1, 5, 8, 1000])
def test_a_gap_keeps_positions(gap):
    """After lost audio, samples keep their positions, and the gap is zeros."""
    ring = RingBuffer(8)
    ring.write(np.array([1, 2, 3], np.int16), 0)
    ring.write(np.array([4, 5], np.int16), 3 + gap)
    assert ring.end == 5 + gap
    np.testing.assert_array_equal(ring.read(2 + gap, 5 + gap), [0, 4, 5])


def test_overwritten_samples_are_refused():
    """Reading overwritten samples raises an error."""
    ring = RingBuffer(4)
    ring.write(np.arange(4, dtype=np.int16), 0)
    ring.write(np.arange(2, dtype=np.int16), 4)
    with pytest.raises(LookupError, match="overwritten"):
        ring.read(1, 4)


def test_a_position_is_written_once():
    """Writing to a position again raises an error."""
    ring = RingBuffer(4)
    ring.write(np.arange(3, dtype=np.int16), 0)
    with pytest.raises(ValueError, match="written already"):
        ring.write(np.arange(3, dtype=np.int16), 2)
