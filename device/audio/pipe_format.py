"""Format of the sound that another program pipes into standard input: raw samples, or a container with a header."""

import struct
from dataclasses import dataclass

from device.errors import InputError

PIPE_CURE = "Pipe s16le, mono, or WAV of 16 bits (ffmpeg: -f s16le -ac 1 -)"
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
            raise InputError(f"--input -: this is {name}, not raw samples. {PIPE_CURE}")
    if not (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        return PipeFormat(rate, 1)
    wav = _read_wav(head)
    if wav is None and len(head) > _LONGEST_HEADER:
        raise InputError(f"--input -: a WAV header without samples. {PIPE_CURE}")
    return wav


def _read_wav(head: bytes) -> PipeFormat | None:
    """Read the chunks of a WAV header up to the samples; return None if it is not complete yet."""
    position, fields = _HEAD_BYTES, None
    while len(head) >= position + 8:
        kind, size = head[position : position + 4], int.from_bytes(head[position + 4 : position + 8], "little")
        position += 8
        if kind == b"data":
            if fields is None:
                raise InputError(f"--input -: a WAV header without a format. {PIPE_CURE}")
            return PipeFormat(*fields, position, None if size == 0 or size >= _UNKNOWN_LENGTH else size)
        if kind == b"fmt " and len(head) >= position + 16:
            encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, position)
            if encoding == _EXTENSIBLE and size >= 26 and len(head) >= position + 26:
                encoding = int.from_bytes(head[position + 24 : position + 26], "little")
            if (encoding, bits) != (_PCM, 16) or not 1 <= channels <= 64 or not 1000 <= rate <= 768_000:
                raise InputError(
                    f"--input -: WAV with {channels} channels of {bits} bits at {rate} Hz, encoding {encoding}, "
                    f"cannot be read. {PIPE_CURE}"
                )
            fields = rate, channels
        position += size + size % 2
    return None
