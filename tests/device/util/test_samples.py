import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.util.samples import level_dbfs, loudest_dbfs

RATE, LENGTH = 16000, 480


@settings(max_examples=50)
@given(
    levels=st.lists(st.sampled_from([20.0, 300.0, 4000.0]), min_size=1, max_size=100),
    rest=st.integers(0, LENGTH - 1),
    offset=st.sampled_from([0, -300, 3000]),
)
def test_the_loudest_block_gives_the_level_of_a_window(levels, rest, offset):
    """The level is that of the loudest whole 30 ms, whatever the offset of the sound card."""
    rng = np.random.default_rng(len(levels) + rest)
    blocks = [rng.normal(offset, level, LENGTH).clip(-32768, 32767).astype(np.int16) for level in levels]
    samples = np.concatenate([*blocks, np.full(rest, 32767, np.int16)])
    expected = max(level_dbfs(block - np.int16(offset)) for block in blocks)
    assert loudest_dbfs(samples, RATE) == pytest.approx(expected, abs=0.1)
