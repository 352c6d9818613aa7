"""Sound file: opening and reading in chunks, with a fault and a cure for each file that cannot be read."""

import errno
import logging
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from device.audio.length_repair import PatchedFile, with_length
from device.errors import InputError

_LOGGER = logging.getLogger(__name__)

_CHUNK_SECONDS = 0.5
"""Sound of a chunk, s."""
_CHUNK_VALUES = 1 << 20
"""Largest number of values in a chunk, all channels together: 4 MiB."""
_RATES = range(1_000, 1_000_001)
"""Sample rates that a recorder can have, Hz: telephones have 8000, bat detectors 500,000."""
_CHANNELS = range(1, 65)
"""Numbers of channels that an array of microphones can have."""
_LOUDEST = 16.0
"""Largest value of a sample, full scale 1. Floats of a mixer may exceed full scale, by less than 24 dB."""
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.IGNORECASE | re.DOTALL)
_SDS = b"\xf0~"
"""First bytes of a MIDI sample dump. libsndfile reads it, but prints each damaged byte on standard output."""
_FOREIGN = (
    (0, _SDS, "a MIDI sample dump"),
    (4, b"ftyp", "MPEG-4 (M4A, MP4, 3GP)"),
    (0, b"#!AMR", "AMR"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"0&\xb2u", "Windows Media"),
    (0, b"\x0bw", "AC-3"),
)
"""Kinds of sounds that libsndfile does not read: offset and bytes by which they are recognized, and their names."""


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile ships no type information
    """Sound file that is read from its start to its end, without a seek.

    soundfile seeks after each read. That fails in a FLAC stream, which has no length.
    """

    def seekable(self) -> bool:
        """Return False."""
        return False


@contextmanager
def open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file within the context. A length of 0 before data, left by a power failure, is repaired.

    Raises:
        InputError: the file is missing or unreadable, is no sound file, has an impossible header, or contains no
            samples.
    """
    with _open_regular(path) as raw, _open_repaired(path, raw) as file:
        if file.frames == 0:
            raise InputError(f"{shown(path)}: holds no sound (0 samples). Record it again, or try: {_conversion(path)}")
        if file.samplerate not in _RATES or file.channels not in _CHANNELS:
            raise InputError(
                f"{shown(path)}: its header is damaged: {file.channels} channels at {file.samplerate} Hz. Possible are "
                f"{_CHANNELS[0]} to {_CHANNELS[-1]}, at {_RATES[0]} to {_RATES[-1]} Hz. Copy it again or export it"
            )
        yield file


def read_chunks(path: Path, file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of a file in chunks of half a second, shape (n, channels), float32, full scale 1.

    Raises:
        InputError: the file is damaged, or its floats are no samples of full scale 1.
    """
    length = min(round(_CHUNK_SECONDS * file.samplerate), _CHUNK_VALUES // file.channels)
    position = 0
    while True:
        try:
            chunk = file.read(length, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{shown(path)}: damaged ({error.error_string}). Copy or record it again") from error
        if not len(chunk):
            break
        peak = float(np.abs(chunk).max())
        if not peak <= _LOUDEST:  # NaN compares as False
            raise InputError(f"{shown(path)}: {_peak_fault(path, peak, position / file.samplerate)}")
        position += len(chunk)
        yield chunk
    if not position:
        raise InputError(f"{shown(path)}: damaged: its samples cannot be read. Copy or record it again")


def file_mode(path: Path) -> int:
    """Return type and permissions of a file, as in `stat.st_mode`.

    Raises:
        InputError: the file is missing, or its path is impossible.
    """
    try:
        return path.stat().st_mode
    except FileNotFoundError as error:
        if url := _URL.fullmatch(str(path)):
            address = shlex.quote(f"{url[1]}://{url[2]}")
            raise InputError(
                f"{shown(path)}: an address, not a file. Download it first, or pipe it: ffmpeg -i {address} -ac 1 "
                "-ar 16000 -f s16le - | earshot run --input -"
            ) from error
        raise InputError(f"{shown(path)}: no such file. Check the path") from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a file or folder that the system refuses to read."""
    cure = "Check the path"
    if error.errno in (errno.EACCES, errno.EPERM):
        cure = f"Permit it: chmod a+rX {shlex.quote(str(path))}, and the folders above it"
    return InputError(f"{shown(path)}: cannot be read ({error.strerror}). {cure}")


def shown(path: Path) -> str:
    """Return a path for a message: on one line, also if its name contains a line break."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def _open_regular(path: Path) -> BinaryIO:
    """Open a file that is neither a folder nor a device: one that could block, or has no end."""
    mode = file_mode(path)
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown(path)}: a folder, not a sound file. Give the files in it, as in {path / '*.wav'}")
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{shown(path)}: neither file nor folder, but a pipe or device. Feed raw samples to `earshot run --input -`"
        )
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def _open_repaired(path: Path, raw: BinaryIO) -> soundfile.SoundFile:
    """Open a sound file, with the length of its data if its header contains none."""
    if raw.read(len(_SDS)) == _SDS:
        raise InputError(f"{shown(path)}: {_format_fault(path, raw, '')}")
    raw.seek(0)
    # By its path, as bytes: any name is accepted, and raw GSM is recognized by its suffix. For a file named .raw,
    # soundfile would ask for its rate.
    source = PatchedFile(raw, {}) if path.suffix.lower() == ".raw" else os.fsencode(path)
    file, fault = _try_to_open(source)
    if (file is None or file.frames == 0) and (view := with_length(raw)) is not None:
        repaired, _ = _try_to_open(view)
        if repaired is not None:
            _LOGGER.warning("%s: its header has no length, as after a power failure: read to its end", shown(path))
            return repaired
    if file is None:
        raise InputError(f"{shown(path)}: {_format_fault(path, raw, fault)}")
    return file


def _try_to_open(source: bytes | PatchedFile) -> tuple[soundfile.SoundFile | None, str]:
    """Return the opened file, or None and libsndfile's reason."""
    try:
        return _ForwardFile(source, closefd=False), ""
    except soundfile.LibsndfileError as error:
        return None, error.error_string.rstrip(".")


def _format_fault(path: Path, raw: BinaryIO, reason: str) -> str:
    """Describe a file that libsndfile refuses, with the cure."""
    raw.seek(0)
    head = raw.read(512)
    if not head:
        return "empty (0 bytes). Copy or record it again"
    for offset, mark, kind in _FOREIGN:
        if head[offset:].startswith(mark):
            return f"{kind}, which cannot be read. Convert it: {_conversion(path)}"
    if "".join(head.decode("utf-8", errors="replace").split()).isprintable():
        return "not a sound file, but text. Give a WAV, FLAC, Ogg, Opus or MP3 file"
    return f"not a sound file that can be read ({reason}). If a player plays it, convert it: {_conversion(path)}"


def _peak_fault(path: Path, peak: float, seconds: float) -> str:
    """Describe samples that are no samples of full scale 1, with the cure."""
    if not np.isfinite(peak):
        return f"damaged: no numbers (NaN or infinity) in place of samples, at {seconds:.1f} s. Export it again"
    return (
        f"samples of up to {peak:.0f} at {seconds:.1f} s, but the full scale of floats is 1. If they are integers, "
        f"scale them: {_conversion(path, '-af volume=1/32768 ')}"
    )


def _conversion(path: Path, options: str = "") -> str:
    """Return the ffmpeg command that converts a file."""
    target = path.with_name(f"{path.stem}-converted.wav" if path.suffix.lower() == ".wav" else f"{path.stem}.wav")
    return f"ffmpeg -i {shlex.quote(str(path))} {options}{shlex.quote(str(target))}"
