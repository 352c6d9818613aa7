"""Stream clock: when each sample sounded, and how much sound was lost, from the arrival times of a live stream.

Sound arrives after it sounded, never before: late by the length of a burst, by the load of this machine, by a network.
The earliest arrival within some seconds is therefore the best measure of the stream's time, as in NTP's clock filter
(RFC 5905, section 10). It follows a sound card whose clock is fast or slow. Where it jumps, samples are missing.
"""

from collections import deque
from dataclasses import dataclass

_FILTER_SECONDS = 4.0
"""Time over which the earliest arrival is taken, s: twice the longest burst of a sound server."""
_LEAST_LOSS_SECONDS = 0.2
"""Smallest jump that counts as lost sound, s. A smaller one is a change of latency, or of the card's clock."""


@dataclass
class _Observation:
    """Start of the stream, as one arrival shows it.

    Attributes:
        start: Unix seconds.
        until: time of the next arrival, Unix seconds. A pause shows nothing, so the age counts from its end.
    """

    start: float
    until: float


class StreamClock:
    """Clock of one capture.

    Args:
        rate: nominal sample rate, Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._start: float | None = None
        self._starts: deque[_Observation] = deque()

    def observe(self, end: int, arrival: float, *, after_loss: bool) -> float:
        """Take an arrival into account; return the sound that was lost before it, s.

        Args:
            end: number of samples up to the end of what arrived, with the losses that earlier calls returned for
                `after_loss`.
            arrival: when it arrived, Unix seconds.
            after_loss: True if the driver reports a loss right before it. Without a report, a loss is recognized within
                some seconds.
        """
        start = arrival - end / self._rate
        if self._start is None:
            self._start = start
        if after_loss:
            return max(0.0, start - self._start)
        if self._starts:
            self._starts[-1].until = arrival
        while self._starts and self._starts[-1].start >= start:
            self._starts.pop()
        self._starts.append(_Observation(start, arrival))
        while self._starts[0].until < arrival - _FILTER_SECONDS:
            self._starts.popleft()
        moved = self._starts[0].start - self._start
        self._start = self._starts[0].start
        return moved if moved >= _LEAST_LOSS_SECONDS else 0.0

    def time_of(self, seconds: float) -> float:
        """Return when the sample sounded that is this many seconds of sound after the first, Unix seconds."""
        assert self._start is not None, "something must have arrived"
        return self._start + seconds
