"""Block stream: from the bytes of a pipe to blocks with their positions and times."""

from collections.abc import Iterator

import numpy as np

from device.audio.chunk_queue import Chunk
from device.audio.resampling import Blocker, Resampler
from device.types import Block, to_float


class BlockStream:
    """From the bytes of one capture to blocks, with their positions and times.

    Args:
        rate: Hz, of the capture.
        channels: of the capture.
        sample_rate: Hz, of the blocks.
        position: of the first block.
    """

    def __init__(self, rate: int, channels: int, sample_rate: int, position: int) -> None:
        self._rate, self._channels, self._sample_rate = rate, channels, sample_rate
        self._start = self._position = position
        self._rest = b""
        self._expected = 0
        self._renew()

    def _renew(self) -> None:
        self._resampler, self._blocker = Resampler(self._rate, self._sample_rate), Blocker(self._sample_rate)

    def feed(self, chunk: Chunk) -> Iterator[Block]:
        """Take the next chunk; its frames, shape (n, channels), int16, are in `frames` afterwards."""
        frame_bytes = 2 * self._channels
        if chunk.offset != self._expected:  # the queue overflowed: go on where the sound goes on
            self._renew()
            skipped = -chunk.offset % frame_bytes
            self._rest, data = b"", chunk.data[skipped:]
            first_frame = (chunk.offset + skipped) // frame_bytes
            self._position = max(self._position, self._start + first_frame * self._sample_rate // self._rate)
        else:
            data = self._rest + chunk.data
        self._expected = chunk.offset + len(chunk.data)
        whole = len(data) // frame_bytes * frame_bytes
        self._rest = data[whole:]
        self.frames = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
        blocks = self._blocker.feed(self._resampler.feed(to_float(self.frames)))
        for number, samples in enumerate(blocks):
            age = (len(blocks) - number) * len(samples) / self._sample_rate
            yield Block(samples, self._position, chunk.time - age)
            self._position += len(samples)

    def flush(self, ended: float) -> Iterator[Block]:
        """Give what is left when the sound ends, filled up with zeros to a block; it ended at that Unix time."""
        for samples in self._blocker.feed(self._resampler.flush()) + self._blocker.flush():
            yield Block(samples, self._position, ended)
            self._position += len(samples)
