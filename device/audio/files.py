"""Sound files: read whole (`read_samples`), or played as if a microphone heard them (`FileSource`)."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.resampling import Blocker, Resampler
from device.audio.signal_diagnosis import State
from device.errors import InputError
from device.model.features import Samples
from device.types import Block
from device.util.clock import CLOCK

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff"})
"""What a folder is searched for. A file that is named outright may have any name."""

_CHUNK_SECONDS = 0.5


def read_samples(path: Path, sample_rate: int) -> Samples:
    """Read a sound file of any rate and channel count.

    Args:
        path: anything that libsndfile reads: WAV of 8 to 32 bits or float, FLAC, Ogg Vorbis, MP3, AIFF.
        sample_rate: Hz, of the result.

    Returns:
        Shape (n,), int16, mono, full scale 32768, n at least 1.

    Raises:
        InputError: the file is missing, is not sound, or holds none.
    """
    with _open(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        chunks = [resampler.feed(chunk) for chunk in _chunks(path, file)]
        chunks.append(resampler.flush())
    return np.concatenate(chunks)


def sound_files(path: Path) -> list[Path]:
    """The file itself, or the sound files of a folder by name.

    Raises:
        InputError: there is no such path, or no sound file in the folder.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{path}: no sound file in this folder. Give a folder with {', '.join(sorted(SUFFIXES))}")
    return files


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
        on_state: Callable[[State, str], None] = lambda _state, _message: None,
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
            with _open(path):
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
            with _open(path) as file:
                resampler = Resampler(file.samplerate, self._sample_rate)
                for chunk in _chunks(path, file):
                    yield from blocker.feed(resampler.feed(chunk))
                yield from blocker.feed(resampler.flush())
        yield from blocker.flush()


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path")
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # whatever its name is made of
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: not a sound file that can be read ({error.error_string}). Give a WAV, FLAC, Ogg or MP3 file"
        ) from error
    with file:
        if file.frames == 0:
            raise InputError(f"{path}: holds no sound (0 samples). Record it again")
        yield file


def _chunks(path: Path, file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """The file's sound, shape (n, channels), float32, full scale 1, in chunks of half a second."""
    try:
        yield from file.blocks(round(_CHUNK_SECONDS * file.samplerate), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: damaged ({error.error_string}). Copy or record it again") from error
