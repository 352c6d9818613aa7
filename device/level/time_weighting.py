"""Time weighting: exponential averages, fast (0.125 s) and slow (1 s), of the squared weighted signal (IEC 61672-1).

The average is computed from the mean squares of steps of 5 ms, at the end of each step. It is exact there but for the
course within a step: the error of the largest level is at most 0.17 dB, for a tone that ends within a step.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TimeWeighting = Literal["fast", "slow"]
_TIME_CONSTANTS = {"fast": 0.125, "slow": 1.0}
_LONGEST_STEPS = 400
"""Steps that are averaged at once. Their powers of the decay must stay within the range of float64."""


class ExponentialAverage:
    """Exponential average of mean squares, from silence.

    Args:
        weighting: "fast" or "slow".
        step_seconds: length of a step, s.
    """

    def __init__(self, weighting: TimeWeighting, step_seconds: float) -> None:
        self._decay = math.exp(-step_seconds / _TIME_CONSTANTS[weighting])
        self._growth = self._decay ** -np.arange(1.0, _LONGEST_STEPS + 1)
        self._value = 0.0

    def feed(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add mean squares of steps, shape (n,). Return the average at the end of each step, shape (n,)."""
        if 0 < len(squares) <= _LONGEST_STEPS:
            return self._feed(squares)
        starts = range(0, len(squares), _LONGEST_STEPS)
        parts = [self._feed(squares[start : start + _LONGEST_STEPS]) for start in starts]
        return np.concatenate(parts) if parts else squares

    def _feed(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve y[k] = decay * y[k - 1] + (1 - decay) * x[k] for all steps at once."""
        growth = self._growth[: len(squares)]
        averages = (self._value + (1 - self._decay) * np.cumsum(squares * growth)) / growth
        self._value = float(averages[-1])
        return np.asarray(averages, np.float64)
