"""Metrics of known scores."""

import numpy as np
import pytest

from training.evaluation.metrics import calibration_error


def test_calibration_error_of_known_scores():
    """Scores of 0.8 with an accuracy of 0.5 have a calibration error of 0.3."""
    scores = np.tile(np.array([[0.8, 0.2]], np.float32), (10, 1))
    assert calibration_error(scores, np.array([0, 1] * 5)) == pytest.approx(0.3, abs=1e-3)
