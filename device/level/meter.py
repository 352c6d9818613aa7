"""Sound level meter: samples to mean squares and time-weighted squares, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.level.time_weighting import ExponentialAverage, TimeWeighting
from device.level.weighting import WeightingFilter
from device.types import Samples

_STEP_SECONDS = 0.005


@dataclass(frozen=True)
class Steps:
    """Levels of successive steps of 5 ms, as squares relative to full scale 1.

    Attributes:
        seconds: length of a step, s.
        a_squares: mean square of the A-weighted samples of each step, shape (n,), float64.
        c_square: mean square of the C-weighted samples of all steps; None if they are not measured.
        averages: time-weighted A-weighted square at the end of each step, shape (n,), float64.
    """

    seconds: float
    a_squares: NDArray[np.float64]
    c_square: float | None
    averages: NDArray[np.float64]

    def split(self, count: int) -> tuple[Steps, Steps]:
        """Return the first `count` steps and the others; both have the C-weighted level of all."""
        first = Steps(self.seconds, self.a_squares[:count], self.c_square, self.averages[:count])
        return first, Steps(self.seconds, self.a_squares[count:], self.c_square, self.averages[count:])


class LevelMeter:
    """Sound level meter of one stream. Its steps follow the samples by up to 1.6 s.

    Args:
        sample_rate: Hz.
        weighting: time weighting of `Steps.averages`.
        with_c: measure C-weighted levels as well, at three quarters more CPU time.
    """

    def __init__(self, sample_rate: int, weighting: TimeWeighting = "fast", *, with_c: bool = False) -> None:
        self._sample_rate = sample_rate
        self._step = max(1, round(_STEP_SECONDS * sample_rate))
        self.step_seconds = self._step / sample_rate
        self._filter = WeightingFilter(sample_rate, self._step, "AC" if with_c else "A")
        self._average = ExponentialAverage(weighting, self.step_seconds)
        self._no_steps = Steps(self.step_seconds, np.empty(0), None, np.empty(0))

    def feed(self, samples: Samples) -> Steps:
        """Add samples, shape (n,), int16, full scale 32768. Return the complete steps; there may be none."""
        rows = self._filter.feed(samples)
        return self._no_steps if rows is None else self._steps(rows)

    def drain(self) -> Steps:
        """Return all whole steps of the samples so far. The stream may go on."""
        return self._steps(self._filter.drain())

    @property
    def waiting_seconds(self) -> float:
        """Sound that was fed and is in no steps yet, s."""
        return self._filter.waiting / self._sample_rate

    def restart(self) -> None:
        """Begin anew after a gap of the stream. Samples that wait are dropped; `drain` returns them before."""
        self._filter.restart()

    def _steps(self, rows: NDArray[np.float32] | None) -> Steps:
        if rows is None:
            return self._no_steps
        steps = rows[0].reshape(-1, self._step)
        squares = np.einsum("ij,ij->i", steps, steps).astype(np.float64) / self._step
        c_square = float(rows[1].dot(rows[1])) / rows.shape[1] if len(rows) > 1 else None
        return Steps(self.step_seconds, squares, c_square, self._average.feed(squares))
