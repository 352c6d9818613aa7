import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from device.model.frames import MelFilters, picture


@given(
    weights=st.tuples(st.integers(1, 70), st.integers(1, 40)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.0, 0.0, 0.25, 2.0]))
    ),
    frames=st.integers(1, 5),
)
def test_banded_filters_equal_the_whole_matrix(weights, frames):
    """Filters in groups of bands give the product with all bins, also where bands are empty."""
    power = np.random.default_rng(0).random((frames, weights.shape[1]), np.float32).T
    mel_power = MelFilters(weights)(power)
    assert mel_power.dtype == np.float32
    np.testing.assert_allclose(mel_power, weights @ power, rtol=1e-5, atol=1e-6)


def test_a_picture_leaves_its_levels_as_they_are():
    """A picture is a new array, from -1 for the end of the range to 1 for the peak."""
    decibel = np.array([[0.0, -200.0], [-40.0, -20.0]], np.float32)
    np.testing.assert_allclose(picture(decibel, 80.0), [[1.0, -1.0], [0.0, 0.5]])
    assert decibel[0, 1] == -200.0
