"""Format of the sound that another program pipes into standard input: raw samples, or a container with a header."""

import struct
from dataclasses import dataclass

import numpy as np

from device.errors import InputError

_CURE = "Pipe s16le, mono, or WAV of 16 bits (ffmpeg: -f s16le -ac 1 -)"
_CONTAINERS = {
    "FLAC": (0, b"fLaC"),
    "Ogg": (0, b"OggS"),
    "AIFF": (0, b"FORM"),
    "MP3": (0, b"ID3"),
    "CAF": (0, b"caff"),
    "AU": (0, b".snd"),
    "Wave64": (0, b"riff\x2e\x91\xcf\x11"),
    "RF64": (0, b"RF64"),
    "Matroska": (0, b"\x1a\x45\xdf\xa3"),
    "MP4": (4, b"ftyp"),
}
"""Name, offset and first bytes of each container that is refused."""
_HEAD_BYTES = 12
_LONGEST_HEADER = 1 << 16
_UNKNOWN_LENGTH = 0x7FFF_0000
"""Size of the samples from which a WAV header contains no real size: its writer does not know when it will end."""
_PCM, _EXTENSIBLE = 1, 0xFFFE
_CHECKED_BYTES = 4096
"""Bytes of raw samples, without zeros, in which another encoding is recognized."""
_TYPICAL_SHARE = 0.98


@dataclass(frozen=True)
class PipeFormat:
    """Format of 16-bit samples on a pipe.

    Attributes:
        rate: sample rate, Hz.
        channels: number of interleaved channels.
        start: number of bytes before the first sample.
        length: number of bytes of samples; None if they end with the pipe.
    """

    rate: int
    channels: int
    start: int = 0
    length: int | None = None


def recognize(head: bytes, rate: int) -> PipeFormat | None:
    """Recognize the format from the first bytes; return None if more of them are needed.

    Args:
        head: the first bytes of the pipe.
        rate: sample rate of raw samples, Hz.

    Raises:
        InputError: the format is none that can be read.
    """
    if len(head) < _HEAD_BYTES:
        return None
    for name, (offset, first) in _CONTAINERS.items():
        if head[offset:].startswith(first):
            raise InputError(f"--input -: this is {name}, not raw samples. {_CURE}")
    if not (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        return PipeFormat(rate, 1)
    wav = _read_wav(head)
    if wav is None and len(head) > _LONGEST_HEADER:
        raise InputError(f"--input -: a WAV header without samples. {_CURE}")
    return wav


def _read_wav(head: bytes) -> PipeFormat | None:
    """Read the chunks of a WAV header up to the samples; return None if it is not complete yet."""
    position, fields = _HEAD_BYTES, None
    while len(head) >= position + 8:
        kind, size = head[position : position + 4], int.from_bytes(head[position + 4 : position + 8], "little")
        position += 8
        if kind == b"data":
            if fields is None:
                raise InputError(f"--input -: a WAV header without a format. {_CURE}")
            return PipeFormat(*fields, position, None if size == 0 or size >= _UNKNOWN_LENGTH else size)
        if kind == b"fmt " and len(head) >= position + 16:
            encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, position)
            if encoding == _EXTENSIBLE and size >= 26 and len(head) >= position + 26:
                encoding = int.from_bytes(head[position + 24 : position + 26], "little")
            if (encoding, bits) != (_PCM, 16) or not 1 <= channels <= 64 or not 1000 <= rate <= 768_000:
                raise InputError(
                    f"--input -: WAV with {channels} channels of {bits} bits at {rate} Hz, encoding {encoding}, "
                    f"cannot be read. {_CURE}"
                )
            fields = rate, channels
        position += size + size % 2
    return None


class EncodingCheck:
    """Check of raw samples: another encoding than int16 is recognized in its first sound."""

    def __init__(self) -> None:
        self._sound = self._partial_word = b""

    def feed(self, data: bytes) -> None:
        """Check further bytes of the pipe, until there were enough of them.

        Raises:
            InputError: the samples are no int16, little-endian.
        """
        if len(self._sound) >= _CHECKED_BYTES:
            return
        data = self._partial_word + data
        whole = len(data) // 8 * 8
        words, self._partial_word = np.frombuffer(data[:whole], "<u8"), data[whole:]
        self._sound += words[words != 0].tobytes()
        if len(self._sound) >= _CHECKED_BYTES and (found := _other_encoding(self._sound[:_CHECKED_BYTES])):
            raise InputError(f"--input -: these are {found}, not 16-bit samples. {_CURE}")


def _other_encoding(data: bytes) -> str | None:
    """Return the name of another encoding than int16, in which the bytes would be an unusual signal; else None."""
    for name, kind in (("64-bit floats", "<f8"), ("32-bit floats", "<f4")):
        values = np.abs(np.frombuffer(data, kind))
        with np.errstate(invalid="ignore"):
            typical = ((values > 1e-7) & (values < 4.0)) | (values == 0)
        if np.mean(typical) > _TYPICAL_SHARE:
            return name
    low_words = np.frombuffer(data, "<u2")[::2]
    if np.mean(low_words == 0) > _TYPICAL_SHARE:
        return "32-bit integers, or two channels of which one is silent"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data):
        return "characters of a text"
    return None
