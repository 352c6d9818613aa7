"""Sound buffer: the last seconds of classified sound, by position. Pauses between windows take no memory."""

from collections import deque

import numpy as np

from device.types import Samples


class SoundBuffer:
    """Buffer of the samples of successive windows.

    Args:
        capacity: number of samples that are kept at least.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._parts: deque[tuple[int, Samples]] = deque()
        self._kept = 0

    @property
    def end(self) -> int:
        """Position after the last sample; 0 while the buffer is empty."""
        return self._parts[-1][0] + len(self._parts[-1][1]) if self._parts else 0

    @property
    def oldest(self) -> int:
        """Position of the oldest sample; 0 while the buffer is empty."""
        return self._parts[0][0] if self._parts else 0

    def write(self, samples: Samples, position: int) -> None:
        """Add the part of a window that neither earlier windows nor the time before the stream contain.

        Args:
            samples: shape (n,), int16.
            position: position of the first sample.
        """
        start = max(position, self.end)
        self._parts.append((start, samples[start - position :].copy()))
        self._kept += len(self._parts[-1][1])
        while self._kept - len(self._parts[0][1]) >= self._capacity:
            self._kept -= len(self._parts.popleft()[1])

    def pause_after(self, position: int) -> int:
        """Return the end of the sound without a pause that follows a position."""
        for start, samples in self._parts:
            if start > position:
                break
            position = max(position, start + len(samples))
        return position

    def read(self, start: int, end: int) -> Samples:
        """Return the samples of [start, end), shape (end - start,), int16. Those outside of the windows are zeros."""
        result = np.zeros(end - start, np.int16)
        for position, samples in self._parts:
            first, last = max(start, position), min(end, position + len(samples))
            if first < last:
                result[first - start : last - start] = samples[first - position : last - position]
        return result
