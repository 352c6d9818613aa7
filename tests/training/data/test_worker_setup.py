"""Tests of the set-up of a worker."""

import sys

import pytest

from device.errors import UnavailableError
from training.data.worker_setup import tensorflow_threads, use_threads


def test_a_worker_takes_the_number_of_threads_before_tensorflow_is_loaded(monkeypatch):
    """The number is that of the run; afterwards, a run with another number is refused with the cure."""
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert tensorflow_threads() == 3
    use_threads(5)
    assert tensorflow_threads() == 5
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    use_threads(5)
    with pytest.raises(UnavailableError, match=r"5 threads for an earlier run, .* needs 2: .*Restart the worker"):
        use_threads(2)
    assert tensorflow_threads() == 5


def test_the_default_is_the_number_of_usable_cores(monkeypatch):
    """Without the variable, or with one that is no number, TensorFlow uses the cores that the process may use."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 4, 5}, raising=False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert tensorflow_threads() == 3
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "many")
    assert tensorflow_threads() == 3
