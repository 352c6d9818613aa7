"""Tests of the inference timer."""

import numpy as np
import pytest

from device.monitoring.inference_timer import InferenceTimer


class Network:
    """Network that takes 0.25 s of a clock that only it moves."""

    def __init__(self):
        self.time = 100.0

    def __call__(self, log_mel):
        if log_mel.size == 0:
            raise ValueError("an empty log-mel")
        self.time += 0.25
        return log_mel.sum(axis=1)


def test_each_window_s_time_is_recorded_everywhere():
    """The scores are the classifier's, and all recorders receive the inference time of each window."""
    network, health, load_shedding = Network(), [], []
    timer = InferenceTimer(network, health.append, load_shedding.append, clock=lambda: network.time)
    for _ in range(3):
        network.time += 5.0  # time between two windows is not measured
        np.testing.assert_array_equal(timer(np.ones((2, 3), np.float32)), [3, 3])
    assert health == load_shedding == [0.25, 0.25, 0.25]


def test_an_error_of_the_classifier_passes_through():
    """A window that the classifier cannot score has no inference time."""
    recorded = []
    with pytest.raises(ValueError, match="an empty log-mel"):
        InferenceTimer(Network(), recorded.append)(np.ones((0, 0), np.float32))
    assert recorded == []


def test_the_default_clock_is_monotonic_seconds():
    """Without another clock the measured time is real, and not negative."""
    recorded = []
    InferenceTimer(Network(), recorded.append)(np.ones((2, 3), np.float32))
    assert 0 <= recorded[0] < 60
