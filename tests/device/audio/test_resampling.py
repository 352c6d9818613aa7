import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.resampling import Blocker, Resampler
from device.types import to_int16

TONE = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)[:, np.newaxis] / 2


def resample(signal, source_rate, sample_rate, lengths):
    resampler = Resampler(source_rate, sample_rate)
    parts, start = [], 0
    for length in lengths:
        parts.append(resampler.feed(signal[start : start + length]))
        start += length
    return np.concatenate([*parts, resampler.feed(signal[start:]), resampler.flush()])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4410), max_size=12))
def test_the_chunks_do_not_matter(lengths):
    """However the sound is cut on its way in, the same samples come out, to one step of rounding."""
    whole = resample(TONE, 44100, 16000, [])
    cut = resample(TONE, 44100, 16000, lengths)
    assert whole.shape == cut.shape
    assert np.abs(whole.astype(int) - cut).max() <= 1


@pytest.mark.parametrize("source_rate", [8000, 22050, 32000, 44100, 48000, 96000])
def test_a_tone_keeps_its_pitch_and_level(source_rate):
    """A 440 Hz tone at half of full scale is one at 16 kHz too, whatever the source's rate."""
    signal = np.sin(2 * np.pi * 440 * np.arange(source_rate) / source_rate).astype(np.float32)[:, np.newaxis] / 2
    result = resample(signal, source_rate, 16000, [])
    assert abs(len(result) - 16000) <= 1
    spectrum = np.abs(np.fft.rfft(result[:16000] / 32768.0)) / 8000
    assert np.argmax(spectrum) == 440
    assert spectrum[440] == pytest.approx(0.5, rel=0.01)


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_equal_rates_change_no_bit(samples):
    """Sound that already has the rate goes through untouched."""
    signal = np.array(samples, np.int16)
    chunk = (signal.astype(np.float32) / 32768)[:, np.newaxis]
    np.testing.assert_array_equal(Resampler(16000, 16000).feed(chunk), signal)


def test_channels_are_averaged():
    """Stereo becomes mono by the mean: sound on one side only is half as strong, never lost."""
    stereo = np.array([[0.5, 0.0], [0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(Resampler(16000, 16000).feed(stereo), [8192, 16384])


def test_what_is_too_loud_is_clipped():
    """A float file beyond full scale is clipped; it does not wrap around."""
    np.testing.assert_array_equal(to_int16(np.array([2.0, -2.0], np.float32)), [32767, -32768])


@given(st.lists(st.integers(0, 2000), max_size=10))
def test_blocks_are_the_stream(lengths):
    """Blocks, one after another, are the stream that was fed, and all of one length."""
    blocker = Blocker(16000)
    stream = np.arange(sum(lengths), dtype=np.int16)
    blocks, start = [], 0
    for length in lengths:
        blocks += blocker.feed(stream[start : start + length])
        start += length
    blocks += blocker.flush()
    assert all(len(block) == 480 for block in blocks)
    joined = np.concatenate([np.empty(0, np.int16), *blocks])
    np.testing.assert_array_equal(joined[: len(stream)], stream)
    assert not joined[len(stream) :].any()
    assert len(joined) - len(stream) < 480
