"""From what a source offers (any rate, any channels) to the blocks that the pipeline takes."""

import numpy as np
import soxr
from numpy.typing import NDArray

from device.types import BLOCK_SECONDS, Samples, to_int16


class Resampler:
    """Streaming: mixes channels down to mono and converts the rate, without a seam between chunks.

    Args:
        source_rate: Hz, of what is fed in.
        sample_rate: Hz, of what comes out.
    """

    def __init__(self, source_rate: int, sample_rate: int) -> None:
        # At equal rates nothing may change, not even by a filter: int16 in is int16 out, bit by bit.
        self._stream = (
            None
            if source_rate == sample_rate
            else soxr.ResampleStream(source_rate, sample_rate, num_channels=1, dtype="float32")
        )

    def feed(self, chunk: NDArray[np.float32]) -> Samples:
        """Convert the next chunk, shape (n, channels), float32, full scale 1.

        Returns:
            Shape (m,), int16, full scale 32768; m is about n * sample_rate / source_rate, now more, now less,
            since the filter holds some back.
        """
        mono = chunk[:, 0]
        for channel in range(1, chunk.shape[1]):  # np.mean is ten times slower over so short an axis
            mono = mono + chunk[:, channel]
        if chunk.shape[1] > 1:
            mono = mono / np.float32(chunk.shape[1])
        return to_int16(mono if self._stream is None else self._stream.resample_chunk(mono))

    def flush(self) -> Samples:
        """Give out what the filter still holds, shape (m,), int16. Nothing may be fed afterwards."""
        if self._stream is None:
            return np.empty(0, np.int16)
        return to_int16(self._stream.resample_chunk(np.empty(0, np.float32), last=True))


class Blocker:
    """Cuts a stream of samples into blocks of equal length.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.block_length = round(BLOCK_SECONDS * sample_rate)
        self._rest = np.empty(0, np.int16)

    def feed(self, samples: Samples) -> list[Samples]:
        """Take samples, shape (n,), int16, and give each block that is full, shape (block_length,), int16."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self.block_length * self.block_length
        self._rest = samples[whole:]
        return list(samples[:whole].reshape(-1, self.block_length))

    def flush(self) -> list[Samples]:
        """Give the block that was begun, if any, filled up with zeros."""
        return self.feed(np.zeros(-len(self._rest) % self.block_length, np.int16))
