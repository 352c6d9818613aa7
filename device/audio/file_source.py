"""File source: sound files, played as if a microphone delivered them."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from device.audio.files import open_sound, read_chunks
from device.audio.resampling import Blocker, Resampler
from device.audio.signal_diagnosis import SourceState
from device.types import Block, Samples
from device.util.clock import CLOCK


class FileSource:
    """Plays sound files, one after another, as if the microphone heard them.

    The clock starts when the source is opened and goes with the audio, so the times of events tell where in
    the recording they lie, at any speed.

    Args:
        paths: files, at least one.
        sample_rate: Hz, of the blocks.
        realtime: whether to wait for the wall clock.
        stop: when set, the source ends at the next block.
        on_state: told that the sound is well, when it begins.
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
        self.lost_samples = 0  # a file waits for its reader

    def __str__(self) -> str:
        return f"{self._paths[0]}" if len(self._paths) == 1 else f"{len(self._paths)} files"

    def __enter__(self) -> Self:
        for path in self._paths:
            with open_sound(path):
                pass  # a bad file is said before the first one plays
        self._started = CLOCK.now()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open between blocks."""

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks; the last is filled up with zeros."""
        self._on_state("ok", f"plays {self}")
        started = time.monotonic()
        position = 0
        for samples in self._blocks():
            if self._realtime:
                due = started + (position + len(samples)) / self._sample_rate
                self._stop.wait(due - time.monotonic())
            if self._stop.is_set():
                return
            yield Block(samples, position, self._started + position / self._sample_rate)
            position += len(samples)

    def _blocks(self) -> Iterator[Samples]:
        """All files' samples, shape (block_length,), int16, as one stream."""
        blocker = Blocker(self._sample_rate)
        for path in self._paths:
            with open_sound(path) as file:
                resampler = Resampler(file.samplerate, self._sample_rate)
                for chunk in read_chunks(path, file):
                    yield from blocker.feed(resampler.feed(chunk))
                yield from blocker.feed(resampler.flush())
        yield from blocker.flush()
