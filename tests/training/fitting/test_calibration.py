"""Calibration on held-out clips."""

import numpy as np

from training.fitting.calibration import clip_means


def test_clip_means_are_over_windows():
    """Rows of one clip are averaged, and the clips are sorted."""
    clips, means = clip_means(np.array([[2.0], [0.0], [4.0]], np.float32), np.array([7, 3, 7], np.int32))
    assert clips.tolist() == [3, 7]
    assert means.ravel().tolist() == [0.0, 3.0]
