"""Sound files: search, and reading into memory or in chunks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.resampling import Resampler
from device.errors import InputError
from device.types import Samples

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff"})
"""Suffixes of sound files in a folder. A file that is given by its path may have any name."""

_CHUNK_SECONDS = 0.5
"""Sound of a chunk, s."""


def read_samples(path: Path, sample_rate: int) -> Samples:
    """Read a sound file of any rate and channel count.

    Args:
        path: a format that libsndfile reads: WAV of 8 to 32 bits or float, FLAC, Ogg Vorbis, MP3, AIFF.
        sample_rate: sample rate of the result, Hz.

    Returns:
        Shape (n,), int16, mono, full scale 32768, n at least 1.

    Raises:
        InputError: the file is missing, is no sound file, or contains no samples.
    """
    with open_sound(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        chunks = [resampler.feed(chunk) for chunk in read_chunks(path, file)]
        chunks.append(resampler.flush())
    return np.concatenate(chunks)


def sound_files(path: Path, *, recursive: bool = False) -> list[Path]:
    """Return the file itself, or the sound files of a folder in sorted order.

    Hidden files are skipped, such as `._x.wav` in archives of macOS.

    Args:
        path: a file or a folder.
        recursive: whether to search the folders below as well.

    Raises:
        InputError: the folder contains no sound file.
    """
    if not path.is_dir():
        return [path]
    paths = path.rglob("*") if recursive else path.iterdir()
    files = sorted(
        file for file in paths if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise InputError(f"{path}: no sound file in this folder. Give a folder with {', '.join(sorted(SUFFIXES))}")
    return files


@contextmanager
def open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file within the context.

    Raises:
        InputError: the file is missing, is no sound file, or contains no samples.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path")
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # as bytes, so that any file name is accepted
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: not a sound file that can be read ({error.error_string}). Give a WAV, FLAC, Ogg or MP3 file"
        ) from error
    with file:
        if file.frames == 0:
            raise InputError(f"{path}: holds no sound (0 samples). Record it again")
        yield file


def read_chunks(path: Path, file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of a file in chunks of half a second, shape (n, channels), float32, full scale 1.

    Raises:
        InputError: the file is damaged.
    """
    try:
        yield from file.blocks(round(_CHUNK_SECONDS * file.samplerate), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: damaged ({error.error_string}). Copy or record it again") from error
