"""Spectrogram image: a log-mel as PNG, for the topic `spectrogram` and for Home Assistant."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from device.config.models import Detail
from device.types import LogMel

_BLUR_SECONDS = 0.25
"""Time over which frames are averaged. It is longer than a phoneme, so speech that benchmarks/picture.py reconstructs
from the picture is unintelligible."""
_ENLARGE = 3
"""Width and height of each value in pixels, because the log-mel of a window is small."""
_COARSE_BANDS, _COARSE_FRAMES = 32, 12
"""Values of a coarse picture: vertically, and horizontally, where each is a quarter of a second as in `blur`."""
_COLOURS = ((0, 0, 4), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191))
"""Palette from quiet to loud: five colours of matplotlib's `magma`, which keep their order in greyscale."""


def spectrogram_encoder(detail: Detail, hop_length_seconds: float) -> Callable[[LogMel], bytes] | None:
    """Return the function that encodes log-mels in this detail; None if none are published.

    Args:
        detail: `mqtt.spectrogram` of the config.
        hop_length_seconds: time from one frame to the next, s.
    """
    frames = round(_BLUR_SECONDS / hop_length_seconds)
    return {"blurred": lambda log_mel: encode_png(blur(log_mel, frames)), "sharp": encode_png, "off": None}[detail]


def blur(log_mel: LogMel, frames: int) -> LogMel:
    """Average successive frames, because speech can be reconstructed from a sharp log-mel.

    Args:
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].
        frames: frames in each average, at least 1. The last average may have fewer.

    Returns:
        Log-mel of the same shape, in which each frame is replaced by its average.
    """
    parts = np.split(log_mel, np.arange(frames, log_mel.shape[1], frames), axis=1)
    return np.hstack([np.broadcast_to(part.mean(axis=1, keepdims=True), part.shape) for part in parts])


def encode_coarse_png(log_mel: LogMel) -> bytes:
    """Encode a coarse version of a log-mel, for a broker that limits the size of packets.

    Args:
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].

    Returns:
        A PNG file of at most 36 by 96 pixels, in which each value is the mean of a rectangle; less than 2 kB.
    """
    rows = [part.mean(axis=0) for part in np.array_split(log_mel, min(_COARSE_BANDS, log_mel.shape[0]))]
    columns = np.array_split(np.stack(rows), min(_COARSE_FRAMES, log_mel.shape[1]), axis=1)
    return encode_png(np.stack([part.mean(axis=1) for part in columns], axis=1))


def encode_png(log_mel: LogMel) -> bytes:
    """Encode a log-mel as PNG: time to the right, frequency up, loud is bright.

    The format is the PNG specification's (W3C, third edition), with one byte per pixel into a palette. It is written
    here because libraries for it take longer to load than the daemon takes to start.

    Args:
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].

    Returns:
        A PNG file of 3 x frames by 3 x mel_bands pixels; some tens of kilobytes.
    """
    levels = np.rint((np.clip(log_mel, -1, 1) + 1) * 127.5).astype(np.uint8)
    pixels = np.repeat(np.repeat(levels[::-1], _ENLARGE, axis=0), _ENLARGE, axis=1)
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # each row begins with its filter type: 0 is none
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits per pixel, palette, not interlaced
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, content)
        for name, content in (
            (b"IHDR", header),
            (b"PLTE", palette().tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes())),
            (b"IEND", b""),
        )
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def palette() -> NDArray[np.uint8]:
    """Return the colours from quiet to loud, shape (256, 3), uint8: red, green, blue."""
    anchors = np.linspace(0, 255, len(_COLOURS))
    channels = [np.interp(np.arange(256), anchors, channel) for channel in zip(*_COLOURS, strict=True)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
