"""The ring buffer: the last seconds of sound, by absolute sample position."""

import numpy as np

from device.types import Samples


class RingBuffer:
    """Fixed memory; positions count from the stream's first sample and are never reused.

    Args:
        capacity: samples that are kept; at least a block.
    """

    def __init__(self, capacity: int) -> None:
        self._samples = np.zeros(capacity, np.int16)
        self._end = 0

    @property
    def end(self) -> int:
        """Position of the sample that will be written next."""
        return self._end

    @property
    def oldest(self) -> int:
        """Position of the first sample that can be read."""
        return max(0, self._end - len(self._samples))

    def write(self, samples: Samples, position: int) -> None:
        """Write samples, shape (n,), int16, of which the first has that position.

        A position beyond the end is a gap (audio was lost): it is filled with zeros, so that what follows keeps
        its place. At most a whole buffer is written, whatever the gap's length.

        Raises:
            ValueError: the position lies before the end: it was written already.
        """
        if position < self._end:
            raise ValueError(f"position {position} was written already, the end is {self._end}")
        if position > self._end:
            gap = min(position - self._end, len(self._samples))
            self._put(position - gap, np.zeros(gap, np.int16))
        self._put(position, samples)
        self._end = position + len(samples)

    def read(self, start: int, end: int) -> Samples:
        """Copy the samples of [start, end), shape (end - start,), int16.

        Zeros stand for what lies before the stream's first sample or after its last.

        Raises:
            LookupError: a part was overwritten already.
        """
        first, last = max(start, 0), min(end, self._end)
        if first < self.oldest:
            raise LookupError(f"position {first} was overwritten, the oldest is {self.oldest}")
        result = np.zeros(end - start, np.int16)
        if first < last:
            result[first - start : last - start] = self._samples[np.arange(first, last) % len(self._samples)]
        return result

    def _put(self, position: int, samples: Samples) -> None:
        begin = position % len(self._samples)
        room = len(self._samples) - begin
        self._samples[begin : begin + len(samples)] = samples[:room]
        if len(samples) > room:
            self._samples[: len(samples) - room] = samples[room:]
