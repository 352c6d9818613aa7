"""Sound files: read whole (`read_samples`), or played as if a microphone heard them (`FileSource`)."""

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
    with open_sound(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        chunks = [resampler.feed(chunk) for chunk in read_chunks(path, file)]
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


@contextmanager
def open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file within the context.

    Raises:
        InputError: the file is missing, is not sound, or contains none.
    """
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


def read_chunks(path: Path, file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """The file's sound, shape (n, channels), float32, full scale 1, in chunks of half a second."""
    try:
        yield from file.blocks(round(_CHUNK_SECONDS * file.samplerate), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: damaged ({error.error_string}). Copy or record it again") from error
