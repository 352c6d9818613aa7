"""The picture of a sound: a log-mel as PNG, as the broker carries it and Home Assistant shows it."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from device.config.models import Detail
from device.types import LogMel

_BLUR_SECONDS = 0.25
"""Longer than a sound of speech: what benchmarks/picture.py makes of it is below what can be understood."""
_ENLARGE = 3
"""Pixels for each frame and band, each way: a window's log-mel is too small to look at."""
_COLOURS = ((0, 0, 4), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191))
"""From quiet to loud: five of the colours of matplotlib's `magma`, which stay in order in greyscale."""


def spectrogram_encoder(detail: Detail, hop_length_seconds: float) -> Callable[[LogMel], bytes] | None:
    """What makes the pictures that are published, in so much detail; None where none are.

    Args:
        detail: as in the config.
        hop_length_seconds: from one frame to the next.
    """
    frames = round(_BLUR_SECONDS / hop_length_seconds)
    return {"blurred": lambda log_mel: png(blurred(log_mel, frames)), "sharp": png, "off": None}[detail]


def blurred(log_mel: LogMel, frames: int) -> LogMel:
    """The same with each so many frames averaged: from a sharp log-mel speech can be made audible again.

    Args:
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].
        frames: that become one, at least 1; the last ones may be fewer.

    Returns:
        Of the same shape: each average stands where its frames stood.
    """
    parts = np.split(log_mel, np.arange(frames, log_mel.shape[1], frames), axis=1)
    return np.hstack([np.broadcast_to(part.mean(axis=1, keepdims=True), part.shape) for part in parts])


def png(log_mel: LogMel) -> bytes:
    """Draw a log-mel: time to the right, frequency up, bright is loud.

    The format is that of the PNG specification (W3C, third edition): one byte a pixel into a palette. Its few
    lines are here because the libraries that write it take longer to load than the daemon takes to start.

    Args:
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].

    Returns:
        A PNG file of 3 x frames by 3 x mel_bands pixels; some tens of kilobytes.
    """
    levels = np.rint((np.clip(log_mel, -1, 1) + 1) * 127.5).astype(np.uint8)
    pixels = np.repeat(np.repeat(levels[::-1], _ENLARGE, axis=0), _ENLARGE, axis=1)
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # each row begins with its filter: 0 is none
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits a pixel, of a palette, not interlaced
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
    """The colours from quiet to loud, shape (256, 3): red, green, blue."""
    anchors = np.linspace(0, 255, len(_COLOURS))
    channels = [np.interp(np.arange(256), anchors, channel) for channel in zip(*_COLOURS, strict=True)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
