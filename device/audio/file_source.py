"""File source: sound files as a stream of blocks, like a microphone's."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from device.audio.files import stream_samples
from device.audio.resampling import BlockSplitter
from device.audio.sound_file import open_sound
from device.audio.source_state import SourceState
from device.types import Blocks, Samples
from device.util.clock import CLOCK


class FileSource:
    """Source that plays sound files, one after another.

    Its clock starts when the source is opened and advances with the audio, at any speed. The time of an event is thus
    its place in the recording.

    Args:
        paths: sound files, at least one.
        sample_rate: sample rate of the blocks, Hz.
        realtime: whether to play in real time.
        stop: when set, the source ends at the next block.
        on_state: receives the state `ok` when playing begins, with a message for a person.

    Attributes:
        lost_samples: always 0, because a file waits for its reader.
    """

    def __init__(
        self,
        paths: list[Path],
        sample_rate: int,
        *,
        realtime: bool,
        stop: threading.Event,
        on_state: Callable[[SourceState, str], None] = lambda _state, _message: None,
    ) -> None:
        self._paths = paths
        self._sample_rate = sample_rate
        self._realtime = realtime
        self._stop = stop
        self._on_state = on_state
        self._started = 0.0
        self.lost_samples = 0

    def __str__(self) -> str:
        return f"{self._paths[0]}" if len(self._paths) == 1 else f"{len(self._paths)} files"

    def __enter__(self) -> Self:
        for path in self._paths:
            with open_sound(path):
                pass  # report an unreadable file before the first one plays
        self._started = CLOCK.now()
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: iteration opens and closes the files."""

    def __iter__(self) -> Iterator[Blocks]:
        """Yield the blocks; the last one is padded with zeros."""
        self._on_state("ok", f"plays {self}")
        start = time.monotonic()
        position = 0
        for samples in self._blocks():
            if self._realtime:
                due = start + (position + len(samples)) / self._sample_rate
                self._stop.wait(due - time.monotonic())
            if self._stop.is_set():
                return
            yield Blocks(samples, position, self._started + position / self._sample_rate)
            position += len(samples)

    def _blocks(self) -> Iterator[Samples]:
        """Yield the samples of all files as one stream, shape (block_length,), int16."""
        splitter = BlockSplitter(self._sample_rate)
        for path in self._paths:
            for samples in stream_samples(path, self._sample_rate):
                yield from splitter.feed(samples)
        yield from splitter.flush()
