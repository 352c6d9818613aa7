"""Signal diagnosis: faults of a stream, detected from its samples and its rate."""

import numpy as np
from numpy.typing import NDArray

from device.audio.source_state import DEAF_STATES, SourceState

DIAGNOSIS_SECONDS = 5.0
"""Sound of one diagnosis of the samples, s."""
_BATCH_SECONDS = 1.0
"""Sound that waits to be measured together, s: a second of reads in turn costs less than each of them after a pause."""
PATIENCE_SECONDS = 60.0
"""Sound after which a stream counts as silent or constant, and after which it counts as sound again, s. A noise gate
delivers silence between two sounds, so a shorter time makes the state alternate."""
_SILENCE_DBFS = -85.0
"""Level below that of the quietest room with the quietest microphone, dBFS RMS."""
_FEWEST_VALUES = 3
"""Fewest different values of a real sound. The noise of one least significant bit has two."""
_RATE_SECONDS = 60.0
"""Time of one diagnosis of the rate, s. It is long, because sound servers deliver in bursts of up to two seconds."""
_BURST_SECONDS = 5.0
"""Time at the start in which the rate is not measured, s: buffers deliver what they hold, an Icecast server seconds."""
_RATE_TOLERANCE = 0.06
"""Largest relative deviation of the measured rate."""
_CLIPPED_SHARE = 0.02
"""Share of samples at full scale above which the signal is clipping. Single gun shots stay below it."""
_LARGEST_SAMPLE = 32767


class SignalDiagnosis:
    """Diagnosis of a stream, repeated every few seconds.

    Args:
        sample_rate: nominal sample rate of the stream, Hz.
        patience_seconds: see `PATIENCE_SECONDS`, which is the default. Clipping is reported at once, and is over after
            this time without it.
    """

    def __init__(self, sample_rate: int, patience_seconds: float | None = None) -> None:
        self._sample_rate = sample_rate
        patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
        self._patience = round(patience / DIAGNOSIS_SECONDS)
        self._samples_state: SourceState = "ok"
        self._deaf_periods = self._sound_periods = self._unclipped_periods = 0
        self._rate_state: SourceState = "ok"
        self.restart()

    def restart(self) -> None:
        """Continue with another capture of the same microphone. Its state remains until it is refuted."""
        self._period = _Period()
        self._waiting: list[tuple[NDArray[np.int16], NDArray[np.float32]]] = []
        self._waiting_count = self._rate_samples = 0
        self._first_arrival: float | None = None
        self._rate_since: float | None = None

    @property
    def state(self) -> SourceState:
        """State of the stream: `silent`, `dc` (a constant), `clipping`, `wrong_rate`, or `ok`."""
        return self._samples_state if self._samples_state != "ok" else self._rate_state

    def feed(self, samples: NDArray[np.int16], mono: NDArray[np.float32], arrival: float) -> None:
        """Add samples to the diagnosis.

        Args:
            samples: shape (n, channels), int16; n may be 0.
            mono: mean of their channels, shape (n,), float32, full scale 1.
            arrival: when they arrived, monotonic seconds.
        """
        if not len(samples):
            return
        self._diagnose_rate(len(samples), arrival)
        self._waiting.append((samples, mono))
        self._waiting_count += len(samples)
        left = DIAGNOSIS_SECONDS * self._sample_rate - self._period.count
        if self._waiting_count >= min(left, _BATCH_SECONDS * self._sample_rate):
            self._measure()

    def _measure(self) -> None:
        """Measure the samples that wait, and judge the period when it is over."""
        for samples, mono in self._waiting:
            self._period.add(samples, mono)
            if self._period.count >= DIAGNOSIS_SECONDS * self._sample_rate:
                self._judge(self._period.state())
                self._period = _Period()
        self._waiting, self._waiting_count = [], 0

    def _judge(self, state: SourceState) -> None:
        """Change the state by that of the last period, once it has lasted."""
        is_deaf = state in DEAF_STATES
        self._deaf_periods = self._deaf_periods + 1 if is_deaf else 0
        self._sound_periods = 0 if is_deaf else self._sound_periods + 1
        self._unclipped_periods = 0 if state == "clipping" else self._unclipped_periods + 1
        if self._samples_state in DEAF_STATES:
            if self._sound_periods >= self._patience:
                self._samples_state = state
        elif is_deaf:
            if self._deaf_periods >= self._patience:
                self._samples_state = state
        elif state == "clipping" or self._unclipped_periods >= self._patience:
            self._samples_state = state

    def _diagnose_rate(self, count: int, arrival: float) -> None:
        if self._first_arrival is None:
            self._first_arrival = arrival
        if self._rate_since is None:
            if arrival - self._first_arrival >= _BURST_SECONDS:
                self._rate_since = arrival
            return
        self._rate_samples += count
        elapsed = arrival - self._rate_since
        if elapsed >= _RATE_SECONDS:
            ratio = self._rate_samples / (elapsed * self._sample_rate)
            self._rate_state = "ok" if abs(ratio - 1) <= _RATE_TOLERANCE else "wrong_rate"
            self._rate_since, self._rate_samples = arrival, 0


class _Period:
    """Measurements of a few seconds of samples.

    Silence is measured on the mean of the channels, which is what is classified: opposite channels cancel.

    Attributes:
        count: samples of each channel so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._clipped = 0
        self._offset: np.float32 | None = None
        self._sum = self._square_sum = 0.0
        self._values: set[float] = set()
        """Some of the different values, at least `_FEWEST_VALUES` if there are so many."""

    def add(self, samples: NDArray[np.int16], mono: NDArray[np.float32]) -> None:
        """Add samples, shape (n, channels), int16, n at least 1, and the mean of their channels, shape (n,)."""
        if samples.max() >= _LARGEST_SAMPLE or samples.min() <= -_LARGEST_SAMPLE:
            clipped = (samples >= _LARGEST_SAMPLE) | (samples <= -_LARGEST_SAMPLE)
            self._clipped += int(np.count_nonzero(clipped)) // samples.shape[1]
        if len(self._values) < _FEWEST_VALUES:
            lowest, highest = mono.min(), mono.max()
            others = mono[(mono != lowest) & (mono != highest)]
            self._values.update((float(lowest), float(highest), *others[:1].tolist()))
        # Without the offset of the sound card, float32 is exact enough for the squares of a quiet room.
        if self._offset is None:
            self._offset = mono.mean()
        deviations = mono - self._offset
        self._sum += float(deviations.sum())
        self._square_sum += float(deviations.dot(deviations))
        self.count += len(mono)

    def state(self) -> SourceState:
        """Return the state of these samples alone."""
        if len(self._values) == 1 and self._values != {0}:
            return "dc"
        if self._clipped > _CLIPPED_SHARE * self.count:
            return "clipping"
        variance = self._square_sum / self.count - (self._sum / self.count) ** 2
        if len(self._values) < _FEWEST_VALUES or variance < 10 ** (_SILENCE_DBFS / 10):
            return "silent"
        return "ok"
