"""Tests of the formats that another program may pipe into standard input."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hostile_source import RATE, in_chunks, piped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_blocks import one_by_one

from device.audio.encoding_check import EncodingCheck
from device.audio.pipe_format import recognize
from device.errors import InputError

SOUND = np.random.default_rng(0).normal(0, 3000, 2 * RATE).astype("<i2")


def wav(samples=SOUND, rate=RATE, channels=1, size=None, before=b"", after=b"", extensible=False):
    """Return a WAV file of 16 bits, as different programs write it to a pipe."""
    data = np.repeat(samples, channels).tobytes()
    fields = struct.pack("<HHIIHH", 0xFFFE if extensible else 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    if extensible:
        fields += struct.pack("<HHIH", 22, 16, 0, 1) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"fmt " + struct.pack("<I", len(fields)) + fields + before
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data + after
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + chunks


LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
WAVS = {
    "plain": wav(),
    "stereo": wav(channels=2),
    "of unknown length, as by ffmpeg": wav(size=0xFFFFFFFF),
    "of unknown length, as by sox": wav(size=0x7FFFF024),
    "of length 0, as after a crash": wav(size=0),
    "with chunks around the samples": wav(before=LIST, after=LIST + bytes(range(256)) * 40),
    "extensible": wav(extensible=True),
}


@pytest.mark.parametrize("data", WAVS.values(), ids=WAVS)
@pytest.mark.parametrize("lengths", [[1 << 15], [7, 1000, 3]])
def test_wav_is_read(monkeypatch, data, lengths):
    """The header is no sound, its channels are averaged, and what follows the samples is ignored."""
    with piped(monkeypatch, in_chunks(data, lengths), rate=8000) as source:
        received = np.concatenate([block.samples for block in source])
    assert len(received) == pytest.approx(len(SOUND), abs=480)
    np.testing.assert_array_equal(received[: len(SOUND)], SOUND)
    assert source.lost_samples == 0


def test_the_rate_of_wav_is_its_own(monkeypatch):
    """WAV at 44.1 kHz is resampled, whatever `--input-rate` is."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100) * 8000).astype("<i2")
    with piped(monkeypatch, in_chunks(wav(tone, 44100), [999])) as source:
        received = np.concatenate([block.samples for block in source])
    assert np.argmax(np.abs(np.fft.rfft(received[:8000].astype(float)))) * 2 == 1000


def file(kind, subtype=None):
    """Return a sound file as bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, SOUND, RATE, format=kind, subtype=subtype)
    return buffer.getvalue()


FLOATS = (SOUND / 32768).astype("<f4")
REFUSED = {
    "FLAC": (file("FLAC"), "this is FLAC"),
    "Ogg": (file("OGG", "VORBIS"), "this is Ogg"),
    "AIFF": (file("AIFF"), "this is AIFF"),
    "MP3": (b"ID3\x04" + bytes(5000), "this is MP3"),
    "CAF": (file("CAF"), "this is CAF"),
    "AU": (file("AU"), "this is AU"),
    "Wave64": (file("W64"), "this is Wave64"),
    "RF64": (file("RF64"), "this is RF64"),
    "WebM": (b"\x1a\x45\xdf\xa3" + bytes(5000), "this is Matroska"),
    "M4A": (b"\0\0\0\x20ftypM4A " + bytes(5000), "this is MP4"),
    "WAV of 24 bits": (file("WAV", "PCM_24"), "1 channels of 24 bits"),
    "WAV of floats": (file("WAV", "FLOAT"), "1 channels of 32 bits"),
    "WAV of 8 bits": (file("WAV", "PCM_U8"), "1 channels of 8 bits"),
    "WAV with A-law": (file("WAV", "ALAW"), "encoding 6"),
    "WAV without a format": (b"RIFF\0\0\0\0WAVEdata\0\0\0\0" + bytes(5000), "without a format"),
    "WAV without samples": (b"RIFF\0\0\0\0WAVE" + LIST * 9000, "without samples"),
    "raw floats": (FLOATS.tobytes(), "32-bit floats"),
    "raw floats after silence": (bytes(64_000) + FLOATS.tobytes(), "32-bit floats"),
    "raw doubles": (FLOATS.astype("<f8").tobytes(), "64-bit floats"),
    "raw 32-bit integers": ((SOUND.astype("<i4") << 16).tobytes(), "32-bit integers"),
    "a text": (b"ffmpeg: no such device. Check the name and try again.\n" * 200, "characters of a text"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_other_formats_are_refused_with_a_cure(monkeypatch, data, message):
    """Whatever is no 16-bit sound is one error with the cure; not even a second of it is classified as noise."""
    received = []
    source = piped(monkeypatch, in_chunks(data, [1001]), live=True)
    error = pytest.raises(InputError, match=f"{message}.*ffmpeg")
    with source as blocks, error:
        received.extend(one_by_one(blocks))
    assert not any(block.samples.any() for block in received[:-10])


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.floats(0.3, 20_000),
    st.integers(-20_000, 20_000) | st.just(0),
    st.floats(0, 1),
    st.integers(1, 4000),
)
def test_sound_is_never_taken_for_another_encoding(seed, level, offset, gated_share, length):
    """Sound of any level, offset and share of silence, in chunks of any length, is raw sound."""
    generator = np.random.default_rng(seed)
    samples = np.clip(generator.normal(offset, level, 6000), -32768, 32767).astype("<i2")
    samples[generator.random(6000) < gated_share] = 0
    data, check = samples.tobytes(), EncodingCheck()
    assert recognize(data, RATE).start == 0
    for start in range(0, len(data), length):
        check.feed(data[start : start + length])
