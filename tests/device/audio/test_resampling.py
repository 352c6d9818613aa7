import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.resampling import BlockSplitter, Resampler
from device.util.samples import mean_of_channels, to_float, to_int16

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
    """The length of the chunks does not change the output, apart from rounding by one step."""
    whole = resample(TONE, 44100, 16000, [])
    cut = resample(TONE, 44100, 16000, lengths)
    assert whole.shape == cut.shape
    assert np.abs(whole.astype(int) - cut).max() <= 1


@pytest.mark.parametrize("source_rate", [8000, 22050, 32000, 44100, 48000, 96000])
def test_a_tone_keeps_its_pitch_and_level(source_rate):
    """A 440 Hz tone at half of full scale keeps its frequency and level at 16 kHz, at any rate of the source."""
    signal = np.sin(2 * np.pi * 440 * np.arange(source_rate) / source_rate).astype(np.float32)[:, np.newaxis] / 2
    result = resample(signal, source_rate, 16000, [])
    assert abs(len(result) - 16000) <= 1
    spectrum = np.abs(np.fft.rfft(result[:16000] / 32768.0)) / 8000
    assert np.argmax(spectrum) == 440
    assert spectrum[440] == pytest.approx(0.5, rel=0.01)


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_equal_rates_change_no_bit(samples):
    """Sound at the output rate is not changed."""
    signal = np.array(samples, np.int16)
    chunk = to_float(signal)[:, np.newaxis]
    np.testing.assert_array_equal(Resampler(16000, 16000).feed(chunk), signal)


def test_channels_are_averaged():
    """Stereo is averaged to mono: sound in one channel only has half its amplitude."""
    stereo = np.array([[0.5, 0.0], [0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(Resampler(16000, 16000).feed(stereo), [8192, 16384])


@given(st.integers(1, 8), st.data())
def test_the_mean_of_channels_is_exact(channels, data):
    """The mean of int16 channels is exact for 1, 2, 4 and 8 of them, and as exact as float32 for others."""
    values = st.lists(st.integers(-32768, 32767), min_size=channels, max_size=channels)
    samples = np.array(data.draw(st.lists(values, min_size=1, max_size=20)), np.int16)
    mean = mean_of_channels(samples)
    assert (mean.shape, mean.dtype) == ((len(samples),), np.float32)
    np.testing.assert_allclose(mean, samples.astype(float).mean(axis=1) / 32768, rtol=0, atol=2.0**-22)
    if channels in (1, 2, 4, 8):
        np.testing.assert_array_equal(mean, (samples.astype(float).mean(axis=1) / 32768).astype(np.float32))


def test_samples_beyond_full_scale_are_clipped():
    """Float samples beyond full scale are clipped; they do not wrap around."""
    np.testing.assert_array_equal(to_int16(np.array([2.0, -2.0], np.float32)), [32767, -32768])


@given(st.lists(st.integers(0, 2000), max_size=10))
def test_blocks_are_the_stream(lengths):
    """The concatenated blocks are the stream, padded with zeros, and all have the same length."""
    splitter = BlockSplitter(16000)
    stream = np.arange(sum(lengths), dtype=np.int16)
    blocks, start = [], 0
    for length in lengths:
        blocks.extend(splitter.feed(stream[start : start + length]))
        start += length
    blocks.extend(splitter.flush())
    assert all(len(block) == 480 for block in blocks)
    joined = np.concatenate([np.empty(0, np.int16), *blocks])
    np.testing.assert_array_equal(joined[: len(stream)], stream)
    assert not joined[len(stream) :].any()
    assert len(joined) - len(stream) < 480
