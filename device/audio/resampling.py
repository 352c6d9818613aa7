"""Resampling: from any sample rate and number of channels to mono blocks at the pipeline's rate."""

import numpy as np
import soxr
from numpy.typing import NDArray

from device.types import BLOCK_SECONDS, Samples
from device.util.samples import to_int16


class Resampler:
    """Streaming resampler: averages the channels and converts the sample rate, without a seam between chunks.

    Args:
        source_rate: sample rate of the input, Hz.
        sample_rate: sample rate of the output, Hz.
    """

    def __init__(self, source_rate: int, sample_rate: int) -> None:
        # At equal rates there is no filter, so that int16 samples stay the same, bit by bit.
        self._stream = (
            None
            if source_rate == sample_rate
            else soxr.ResampleStream(source_rate, sample_rate, num_channels=1, dtype="float32")
        )

    def feed(self, chunk: NDArray[np.float32]) -> Samples:
        """Convert the next chunk, shape (n, channels), float32, full scale 1.

        Returns:
            Shape (m,), int16, full scale 32768. m is about n * sample_rate / source_rate; it varies, because the filter
            delays some samples.
        """
        mono = chunk[:, 0]
        for channel in range(1, chunk.shape[1]):  # np.mean is ten times slower over an axis of one or two values
            mono = mono + chunk[:, channel]
        if chunk.shape[1] > 1:
            mono /= np.float32(chunk.shape[1])
        return to_int16(mono if self._stream is None else self._resampled(mono))

    def flush(self) -> Samples:
        """Return the samples that the filter still holds, shape (m,), int16. `feed` must not be called afterwards."""
        if self._stream is None:
            return np.empty(0, np.int16)
        return to_int16(self._resampled(np.empty(0, np.float32), last=True))

    def _resampled(self, mono: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Return the samples, shape (m,), float32, that further samples, shape (n,), complete."""
        assert self._stream is not None
        # As one column: soxr's wrapper would make it of a single axis, and remove it again by slower means.
        column: NDArray[np.float32] = self._stream.resample_chunk(mono[:, np.newaxis], last=last)
        return column[:, 0]


class BlockSplitter:
    """Splitter of a stream of samples into blocks of 30 ms.

    Args:
        sample_rate: sample rate, Hz.

    Attributes:
        block_length: samples in a block.
    """

    def __init__(self, sample_rate: int) -> None:
        self.block_length = round(BLOCK_SECONDS * sample_rate)
        self._partial_block = np.empty(0, np.int16)

    def feed(self, samples: Samples) -> NDArray[np.int16]:
        """Return the blocks that further samples complete.

        Args:
            samples: shape (n,), int16.

        Returns:
            Shape (blocks, block_length), int16.
        """
        samples = np.concatenate([self._partial_block, samples])
        whole = len(samples) // self.block_length * self.block_length
        self._partial_block = samples[whole:]
        return samples[:whole].reshape(-1, self.block_length)

    def flush(self) -> NDArray[np.int16]:
        """Return the last, partial block, if any, padded with zeros; shape (0 or 1, block_length), int16."""
        return self.feed(np.zeros(-len(self._partial_block) % self.block_length, np.int16))
