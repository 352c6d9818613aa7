import struct
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device.config.models import MqttConfig
from device.mqtt.spectrogram_image import blur, encode_png, spectrogram_encoder


def read_png(content):
    """Decode a PNG with a palette, and check its checksums; return its colours, shape (height, width, 3)."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, content[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        name, body, checksum, rest = (
            rest[4:8],
            rest[8 : 8 + length],
            rest[8 + length : 12 + length],
            rest[12 + length :],
        )
        assert struct.unpack(">I", checksum)[0] == zlib.crc32(name + body)
        chunks[name] = body
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, bits, colour_type, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (bits, colour_type, rest) == (8, 3, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(256, 3)[rows[:, 1:]]


def test_loud_is_bright_and_high_is_up():
    """The lowest band is at the bottom, time increases to the right, and the peak is brightest."""
    log_mel = np.full((8, 5), -1, np.float32)
    log_mel[0, 4] = 1  # lowest band, last frame
    log_mel[7, 0] = 0
    pixels = read_png(encode_png(log_mel)).astype(int).sum(axis=2)
    assert pixels.shape == (24, 15)
    assert (pixels[-3:, -3:] == pixels.max()).all()
    assert pixels.min() < pixels[0, 0] < pixels.max()
    assert (pixels == pixels.max()).sum() == 9


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 99))
def test_the_order_of_averaged_frames_is_removed(length, frames, seed):
    """The order of frames within an average does not change the blurred log-mel, which keeps its shape."""
    random = np.random.default_rng(seed)
    log_mel = random.uniform(-1, 1, (4, length)).astype(np.float32)
    parts = [log_mel[:, start : start + frames] for start in range(0, length, frames)]
    shuffled = np.hstack([part[:, random.permutation(part.shape[1])] for part in parts])
    np.testing.assert_allclose(blur(shuffled, frames), blur(log_mel, frames), atol=1e-6)
    assert blur(log_mel, frames).shape == log_mel.shape
    assert all(np.ptp(blur(part, frames), axis=1).max() == 0 for part in parts)


def test_the_published_spectrogram_is_blurred_by_default():
    """A click of one frame is a quarter of a second wide if blurred, one frame if sharp; off has no encoder."""
    log_mel = np.full((8, 186), -1, np.float32)
    log_mel[:, 50] = 1

    def columns(detail):
        return (
            np.diff(read_png(spectrogram_encoder(detail, 0.016)(log_mel)).astype(int).sum(axis=2)[0]) != 0
        ).nonzero()[0]

    assert list(columns("sharp")) == [149, 152]
    assert list(columns("blurred")) == [143, 191]
    assert spectrogram_encoder("off", 0.016) is None
    assert MqttConfig().spectrogram == "blurred"


def test_a_window_is_a_small_file():
    """The PNG of noise, which compresses worst, is smaller than 100 kB."""
    noise = np.random.default_rng(0).uniform(-1, 1, (128, 186)).astype(np.float32)
    content = encode_png(noise)
    assert read_png(content).shape == (384, 558, 3)
    assert len(content) < 100_000
