"""Inference timer: the classifier, with the time of each window measured."""

import time
from collections.abc import Callable

from device.types import LogMel, Probabilities


class InferenceTimer:
    """Wrapper of the classifier that reports the time of each window. Used from the pipeline's thread.

    Args:
        classify: log-mel (mel_bands, frames) -> scores (labels,).
        record: functions that receive each window's time, s.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        classify: Callable[[LogMel], Probabilities],
        *record: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._classify = classify
        self._record = record
        self._clock = clock

    def __call__(self, log_mel: LogMel) -> Probabilities:
        """Classify one window: log-mel (mel_bands, frames) -> scores (labels,)."""
        started = self._clock()
        scores = self._classify(log_mel)
        seconds = self._clock() - started
        for record in self._record:
            record(seconds)
        return scores
