"""Sound files: search, and reading into memory or as a stream."""

import logging
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from device.audio.resampling import Resampler
from device.audio.sound_file import file_mode, open_sound, read_chunks, shown, unreadable
from device.errors import InputError
from device.types import Samples

_LOGGER = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".rf64", ".w64"}
)
"""Suffixes of sound files in a folder. A file that is given by its path may have any name."""
FOREIGN_SUFFIXES = frozenset({".m4a", ".aac", ".mp4", ".3gp", ".amr", ".awb", ".wma", ".webm", ".mka", ".ac3"})
"""Suffixes of sounds that libsndfile does not read, as telephones record them."""


def read_samples(path: Path, sample_rate: int) -> Samples:
    """Read a sound file of any rate and channel count into memory.

    Args:
        path: a format that libsndfile reads: WAV of 8 to 32 bits or float, FLAC, Ogg Vorbis or Opus, MP3, AIFF.
        sample_rate: sample rate of the result, Hz.

    Returns:
        Shape (n,), int16, mono, full scale 32768, n at least 1.

    Raises:
        InputError: the file is missing, is no sound file, is damaged, or contains no samples.
    """
    return np.concatenate(list(stream_samples(path, sample_rate)))


def stream_samples(path: Path, sample_rate: int) -> Iterator[Samples]:
    """Yield the samples of a sound file in parts of about half a second, in constant memory; see `read_samples`."""
    with open_sound(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        count = 0
        for chunk in read_chunks(path, file):
            samples = resampler.feed(chunk)
            count += len(samples)
            yield samples
        rest = resampler.flush()
    if not count + len(rest):
        raise InputError(f"{shown(path)}: holds no sound (shorter than a sample at {sample_rate} Hz). Record it again")
    yield rest


def sound_files(path: Path) -> list[Path]:
    """Return the file itself, or the sound files of a folder in sorted order.

    Args:
        path: a file or a folder.

    Raises:
        InputError: the path is missing, or the folder is unreadable or contains no sound file.
    """
    if not stat.S_ISDIR(file_mode(path)):
        return [path]
    try:
        paths = list(path.iterdir())
    except OSError as error:
        raise unreadable(path, error) from error
    files = find_sounds(paths)
    foreign = describe_foreign(paths)
    if not files:
        cure = foreign or f"Give a folder with {', '.join(sorted(SUFFIXES))}"
        raise InputError(f"{shown(path)}: no sound file in this folder. {cure}")
    if foreign:
        _LOGGER.warning("%s: %s", shown(path), foreign)
    return files


def find_sounds(paths: Iterable[Path]) -> list[Path]:
    """Return the sound files among some paths, in sorted order, without hidden ones, such as `._x.wav` of macOS."""
    return sorted(
        path for path in paths if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def describe_foreign(paths: Iterable[Path]) -> str:
    """Describe the sounds among some paths that cannot be read, with the cure; empty without any."""
    count = Counter(path.suffix.lower() for path in paths if path.suffix.lower() in FOREIGN_SUFFIXES)
    if not count:
        return ""
    kinds = ", ".join(f"{number} {suffix}" for suffix, number in sorted(count.items()))
    example = min(count)
    return f'left out: {kinds}. Convert them: for f in *{example}; do ffmpeg -i "$f" "$f.wav"; done'
