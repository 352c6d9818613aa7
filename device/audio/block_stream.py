"""Block stream: bytes of a capture, converted to blocks with positions and times."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.audio.chunk_queue import Chunk
from device.audio.resampling import BlockSplitter, Resampler
from device.audio.stream_clock import StreamClock
from device.types import Blocks
from device.util.samples import mean_of_channels


class BlockStream:
    """Converter from the chunks of one capture to blocks.

    Args:
        rate: sample rate of the capture, Hz.
        channels: number of interleaved channels of the capture.
        sample_rate: sample rate of the blocks, Hz.
        position: position of the first block.
        selected: channels that are averaged, counted from 1; empty for all.
        live: whether the sound arrives while it sounds, so that a late arrival shows lost sound.

    Attributes:
        channel_samples: selected channels of the last chunk, shape (n, selected channels), int16.
        mono: their mean, shape (n,), float32, full scale 1.
        unplaced_samples: lost samples so far whose position is not known, at the rate of the blocks. The positions of
            the blocks do not contain them, their times do.
    """

    def __init__(
        self,
        rate: int,
        channels: int,
        sample_rate: int,
        position: int,
        *,
        selected: Sequence[int] = (),
        live: bool = True,
    ) -> None:
        self._rate, self._channels, self._sample_rate = rate, channels, sample_rate
        self._columns = [channel - 1 for channel in selected]
        self._start = self._position = position
        self._partial_sample = b""
        self._next_offset = self._lost_samples = 0
        self._clock, self._live = StreamClock(rate), live
        self.channel_samples = np.empty((0, channels), np.int16)
        self.mono = np.empty(0, np.float32)
        self.unplaced_samples = 0
        self._reset()

    def _reset(self) -> None:
        self._resampler, self._splitter = Resampler(self._rate, self._sample_rate), BlockSplitter(self._sample_rate)

    def feed(self, chunk: Chunk) -> Blocks | None:
        """Return the blocks that the next chunk completes; None if it completes none."""
        data = self._continue_at(chunk)
        sample_bytes = 2 * self._channels
        whole = len(data) // sample_bytes * sample_bytes
        self._partial_sample = data[whole:]
        samples = np.frombuffer(data, "<i2", whole // 2).reshape(-1, self._channels)
        self.channel_samples = samples[:, self._columns] if self._columns else samples
        self.mono = mean_of_channels(self.channel_samples)
        return self._place(self._splitter.feed(self._resampler.feed(self.mono[:, np.newaxis])))

    def flush(self) -> Blocks | None:
        """Return the last blocks when the sound has ended, padded with zeros; None if there are none."""
        return self._place(np.concatenate([self._splitter.feed(self._resampler.flush()), self._splitter.flush()]))

    def _place(self, blocks: NDArray[np.int16]) -> Blocks | None:
        """Return blocks, shape (blocks, block_length), with their position and time."""
        if not len(blocks):
            return None
        position, self._position = self._position, self._position + blocks.size
        return Blocks(blocks.reshape(-1), position, self._clock.time_of((position - self._start) / self._sample_rate))

    def _continue_at(self, chunk: Chunk) -> bytes:
        """Return the bytes to convert, from a whole sample on. After lost sound, the position jumps by its length."""
        sample_bytes = 2 * self._channels
        end = (chunk.offset + len(chunk.data)) // sample_bytes + self._lost_samples
        lost_seconds = self._clock.observe(end, chunk.time, after_loss=chunk.after_loss)
        if chunk.after_loss:
            self._lost_samples += round(lost_seconds * self._rate)
        elif self._live:
            self.unplaced_samples += round(lost_seconds * self._sample_rate)
        is_continuous = chunk.offset == self._next_offset and not chunk.after_loss
        self._next_offset = chunk.offset + len(chunk.data)
        if is_continuous:
            return self._partial_sample + chunk.data
        self._reset()
        skipped = -chunk.offset % sample_bytes
        first_sample = (chunk.offset + skipped) // sample_bytes + self._lost_samples
        self._position = max(self._position, self._start + first_sample * self._sample_rate // self._rate)
        return chunk.data[skipped:]
