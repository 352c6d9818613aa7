"""Inference timer: the networks, with the time of each window measured."""

import time
from collections.abc import Callable

from device.types import Samples, WindowScores


class InferenceTimer:
    """Wrapper of the networks that reports the time of each window. Used from the pipeline's thread.

    Args:
        classify: scores a window, from its samples (window_length,), int16.
        record: functions that receive each window's time, s.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        classify: Callable[[Samples], WindowScores],
        *record: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._classify = classify
        self._record = record
        self._clock = clock

    def __call__(self, samples: Samples) -> WindowScores:
        """Score one window, log-mels included."""
        started = self._clock()
        scores = self._classify(samples)
        seconds = self._clock() - started
        for record in self._record:
            record(seconds)
        return scores
