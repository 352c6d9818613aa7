"""Babble of mixed prompts."""

import numpy as np
import pytest

from training.data.collect_babble import CLIP_SECONDS, SAMPLE_RATE, babble


@pytest.mark.parametrize("seed", range(4))
def test_babble_is_a_clip_at_one_level_from_all_prompts(seed):
    """A clip has the set length and peak, is finite, and depends on the seed alone."""
    rng = np.random.default_rng(9)
    speakers = [[rng.standard_normal(SAMPLE_RATE).astype(np.float32) * 0.1 for _ in range(3)] for _ in range(2)]
    clip = babble(speakers, np.random.default_rng(seed))
    assert clip.shape == (int(CLIP_SECONDS * SAMPLE_RATE),)
    assert clip.dtype == np.float32
    assert np.abs(clip).max() == pytest.approx(0.5, abs=1e-5)
    assert np.array_equal(clip, babble(speakers, np.random.default_rng(seed)))
