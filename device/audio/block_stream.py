"""Block stream: bytes of a capture, converted to blocks with positions and times."""

from collections.abc import Iterator

import numpy as np

from device.audio.chunk_queue import Chunk
from device.audio.resampling import BlockSplitter, Resampler
from device.types import Block, to_float


class BlockStream:
    """Converter from the chunks of one capture to blocks.

    Args:
        rate: sample rate of the capture, Hz.
        channels: number of interleaved channels of the capture.
        sample_rate: sample rate of the blocks, Hz.
        position: position of the first block.

    Attributes:
        channel_samples: samples of the last chunk, shape (n, channels), int16.
    """

    def __init__(self, rate: int, channels: int, sample_rate: int, position: int) -> None:
        self._rate, self._channels, self._sample_rate = rate, channels, sample_rate
        self._start = self._position = position
        self._partial_sample = b""
        self._next_offset = 0
        self.channel_samples = np.empty((0, channels), np.int16)
        self._reset()

    def _reset(self) -> None:
        self._resampler, self._splitter = Resampler(self._rate, self._sample_rate), BlockSplitter(self._sample_rate)

    def feed(self, chunk: Chunk) -> Iterator[Block]:
        """Yield the blocks that the next chunk completes."""
        sample_bytes = 2 * self._channels
        if chunk.offset != self._next_offset:  # the queue overflowed: continue at the position of this chunk
            self._reset()
            skipped = -chunk.offset % sample_bytes
            self._partial_sample, data = b"", chunk.data[skipped:]
            first_sample = (chunk.offset + skipped) // sample_bytes
            self._position = max(self._position, self._start + first_sample * self._sample_rate // self._rate)
        else:
            data = self._partial_sample + chunk.data
        self._next_offset = chunk.offset + len(chunk.data)
        whole = len(data) // sample_bytes * sample_bytes
        self._partial_sample = data[whole:]
        self.channel_samples = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
        blocks = self._splitter.feed(self._resampler.feed(to_float(self.channel_samples)))
        for number, samples in enumerate(blocks):
            age = (len(blocks) - number) * len(samples) / self._sample_rate
            yield Block(samples, self._position, chunk.time - age)
            self._position += len(samples)

    def flush(self, end_time: float) -> Iterator[Block]:
        """Yield the last blocks when the sound has ended; the last one is padded with zeros.

        Args:
            end_time: when the sound ended, Unix seconds.
        """
        for samples in self._splitter.feed(self._resampler.flush()) + self._splitter.flush():
            yield Block(samples, self._position, end_time)
            self._position += len(samples)
