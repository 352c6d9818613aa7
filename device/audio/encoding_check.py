"""Encoding of raw samples on a pipe: another one than int16 is recognized in the first sound."""

import numpy as np

from device.audio.pipe_format import PIPE_CURE
from device.errors import InputError

_CHECKED_BYTES = 4096
"""Bytes of raw samples, without zeros, in which another encoding is recognized."""
_TYPICAL_SHARE = 0.98


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
            raise InputError(f"--input -: these are {found}, not 16-bit samples. {PIPE_CURE}")


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
