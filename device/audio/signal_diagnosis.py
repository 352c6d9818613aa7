"""Signal diagnosis: faults of a stream, detected from its samples and its rate."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

SourceState = Literal["ok", "missing", "busy", "stalled", "silent", "dc", "clipping", "wrong_rate"]
"""State of a source, as in the health message (docs/mqtt.md)."""

PROBLEM_TEXTS: dict[SourceState, str] = {
    "stalled": "delivers nothing any more",
    "silent": "delivers digital silence",
    "dc": "delivers a constant value",
    "clipping": "is too loud and clips",
    "wrong_rate": "delivers at another rate than it reports",
}
"""Text for each fault of an open source. It follows "microphone ..." or "standard input ..."."""

DIAGNOSIS_SECONDS = 5.0
"""Sound of one diagnosis of the samples, s."""
_RATE_SECONDS = 60.0
"""Time of one diagnosis of the rate, s. It is long, because sound servers deliver in bursts of up to two seconds."""
_RATE_TOLERANCE = 0.06
"""Largest relative deviation of the measured rate."""
_CLIPPED_SHARE = 0.02
"""Share of samples at full scale above which the signal is clipping. Single gun shots stay below it."""
_LARGEST_SAMPLE = 32767


class SignalDiagnosis:
    """Diagnosis of a stream, repeated every few seconds.

    Args:
        sample_rate: nominal sample rate of the stream, Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples_state: SourceState = "ok"
        self._rate_state: SourceState = "ok"
        self._sample_count = 0
        self._lowest, self._highest, self._clipped = _LARGEST_SAMPLE, -_LARGEST_SAMPLE, 0
        self._rate_samples = 0
        self._rate_since: float | None = None

    @property
    def state(self) -> SourceState:
        """State of the stream: `silent` (digital zeros), `dc` (a constant), `clipping`, `wrong_rate`, or `ok`."""
        return self._samples_state if self._samples_state != "ok" else self._rate_state

    def feed(self, samples: NDArray[np.int16], arrival: float) -> None:
        """Add samples to the diagnosis.

        Args:
            samples: shape (n, channels), int16, n at least 1.
            arrival: when they arrived, monotonic seconds.
        """
        self._diagnose_rate(len(samples), arrival)
        self._lowest = min(self._lowest, int(samples.min()))
        self._highest = max(self._highest, int(samples.max()))
        self._clipped += int(np.count_nonzero(np.abs(samples.astype(np.int32)) >= _LARGEST_SAMPLE)) // samples.shape[1]
        self._sample_count += len(samples)
        if self._sample_count >= DIAGNOSIS_SECONDS * self._sample_rate:
            self._samples_state = self._diagnose_samples()
            self._sample_count, self._clipped = 0, 0
            self._lowest, self._highest = _LARGEST_SAMPLE, -_LARGEST_SAMPLE

    def _diagnose_samples(self) -> SourceState:
        if self._lowest == self._highest:
            return "silent" if self._lowest == 0 else "dc"
        return "clipping" if self._clipped > _CLIPPED_SHARE * self._sample_count else "ok"

    def _diagnose_rate(self, count: int, arrival: float) -> None:
        if self._rate_since is None:
            self._rate_since = arrival  # the samples of the first read waited in a buffer, so they are not counted
            return
        self._rate_samples += count
        elapsed = arrival - self._rate_since
        if elapsed >= _RATE_SECONDS:
            ratio = self._rate_samples / (elapsed * self._sample_rate)
            self._rate_state = "ok" if abs(ratio - 1) <= _RATE_TOLERANCE else "wrong_rate"
            self._rate_since, self._rate_samples = arrival, 0
