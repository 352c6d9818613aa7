"""Ring buffer: the last seconds of samples, by absolute position."""

import numpy as np

from device.types import Samples


class RingBuffer:
    """Ring buffer of fixed size. Positions count from the stream's first sample and are never reused.

    Args:
        capacity: size, samples; at least the length of a block.
    """

    def __init__(self, capacity: int) -> None:
        self._samples = np.zeros(capacity, np.int16)
        self._end = 0

    @property
    def end(self) -> int:
        """Position after the last sample that was written."""
        return self._end

    @property
    def oldest(self) -> int:
        """Position of the oldest sample that can be read."""
        return max(0, self._end - len(self._samples))

    def write(self, samples: Samples, position: int) -> None:
        """Write samples. A gap before them, from lost audio, is filled with zeros.

        Args:
            samples: shape (n,), int16. Of more than the capacity, the last ones are kept.
            position: position of the first sample.

        Raises:
            ValueError: the position was written already.
        """
        if position < self._end:
            raise ValueError(f"position {position} was written already, the end is {self._end}")
        if position > self._end:
            # At most the capacity is filled, however long the gap is.
            gap = min(position - self._end, len(self._samples))
            self._copy(position - gap, np.zeros(gap, np.int16))
        kept = samples[-len(self._samples) :]
        self._end = position + len(samples)
        self._copy(self._end - len(kept), kept)

    def read(self, start: int, end: int) -> Samples:
        """Return a copy of the samples of [start, end), shape (end - start,), int16.

        Positions before the stream's first sample or after its last are zeros.

        Raises:
            LookupError: a part was overwritten.
        """
        first, last = max(start, 0), min(end, self._end)
        if first < self.oldest:
            raise LookupError(f"position {first} was overwritten, the oldest is {self.oldest}")
        result = np.zeros(end - start, np.int16)
        if first < last:
            begin = first % len(self._samples)
            until_wrap = self._samples[begin : begin + last - first]
            result[first - start : first - start + len(until_wrap)] = until_wrap
            result[first - start + len(until_wrap) : last - start] = self._samples[: last - first - len(until_wrap)]
        return result

    def _copy(self, position: int, samples: Samples) -> None:
        begin = position % len(self._samples)
        room = len(self._samples) - begin
        self._samples[begin : begin + len(samples)] = samples[:room]
        if len(samples) > room:
            self._samples[: len(samples) - room] = samples[room:]
