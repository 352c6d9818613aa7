import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from librosa_reference import librosa

from device.audio.files import read_samples
from device.model.features import FeatureConfig, log_mel
from device.util.samples import level_dbfs, to_float

CONFIG = FeatureConfig()


def librosa_log_mel(samples, config):
    """Compute the log-mel by librosa, scaled to [-1, 1]."""
    power = librosa.feature.melspectrogram(
        y=to_float(samples),
        sr=config.sample_rate,
        n_fft=config.n_fft,
        win_length=config.win_length,
        hop_length=config.hop_length,
        center=False,
        n_mels=config.mel_bands,
        fmin=config.fmin,
        fmax=config.fmax,
    )
    return 1 + librosa.power_to_db(power, ref=np.max, top_db=config.top_db) / (config.top_db / 2)


def windows_of(path, config):
    samples = read_samples(path, config.sample_rate)
    length = config.window_length
    return [samples[start : start + length] for start in range(0, len(samples) - length + 1, length)]


@pytest.mark.parametrize(
    "config",
    [CONFIG, dataclasses.replace(CONFIG, sample_rate=32000, fmax=14000.0, mel_bands=64)],
    ids=["16 kHz", "32 kHz"],
)
def test_agrees_with_librosa_on_the_demo_recording(demo_recording, config):
    """On a real recording, the log-mel equals that of librosa within 1e-4."""
    for window in windows_of(demo_recording, config):
        np.testing.assert_allclose(log_mel(window, config), librosa_log_mel(window, config), rtol=1e-4, atol=1e-4)


@pytest.mark.shared
def test_agrees_with_librosa_on_urbansound8k(shared):
    """On clips of each class of UrbanSound8K, the log-mel equals that of librosa within 1e-4."""
    clips = sorted((shared / "data" / "urbansound8k" / "audio" / "fold1").glob("*.ogg"))[::20]
    compared = 0
    for clip in clips:
        for window in windows_of(clip, CONFIG):
            computed, expected = log_mel(window, CONFIG), librosa_log_mel(window, CONFIG)
            np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4)
            compared += 1
    assert compared > 20


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 32767))
def test_shape_and_range(seed, amplitude):
    """The log-mel of any window has shape (mel_bands, frames), float32, in [-1, 1], with its peak at 1."""
    samples = np.random.default_rng(seed).integers(-amplitude, amplitude, CONFIG.window_length).astype(np.int16)
    result = log_mel(samples, CONFIG)
    assert result.shape == CONFIG.shape == (CONFIG.mel_bands, CONFIG.frames)
    assert result.dtype == np.float32
    assert result.min() >= -1
    assert result.max() == 1


def test_the_gain_cancels():
    """The same sound at four times the amplitude has the same log-mel, because microphones differ in gain."""
    samples = np.random.default_rng(1).integers(-4000, 4000, CONFIG.window_length).astype(np.int16)
    np.testing.assert_allclose(log_mel(4 * samples, CONFIG), log_mel(samples, CONFIG), atol=1e-5)


def test_golden_values_of_a_tone():
    """The log-mel of a 1 kHz tone, which must not drift, has its peak around 1 kHz and low values ten bands away."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(CONFIG.window_length) / CONFIG.sample_rate) * 8000).astype(np.int16)
    column = log_mel(tone, CONFIG)[:, 90]
    peak = int(np.argmax(column))
    centres = librosa.mel_frequencies(CONFIG.mel_bands + 2, fmin=CONFIG.fmin, fmax=CONFIG.fmax)[1:-1]
    assert abs(centres[peak] - 1000) < 30
    assert column[peak] == pytest.approx(1, abs=1e-3)
    assert column[peak - 10] < -0.4
    assert column[peak + 10] < -0.4


def test_silence_is_finite():
    """The log-mel of digital silence is finite."""
    assert np.isfinite(log_mel(np.zeros(CONFIG.window_length, np.int16), CONFIG)).all()


def test_a_wrong_length_is_refused():
    """A window of another length is refused."""
    with pytest.raises(ValueError, match="window has shape"):
        log_mel(np.zeros(100, np.int16), CONFIG)


@pytest.mark.parametrize(
    "change",
    [
        {"sample_rate": 22050},
        {"hop_length_seconds": 0.0},
        {"hop_length_seconds": 0.1},
        {"win_length_seconds": 5.0},
        {"fmax": 9000.0},
        {"fmin": 8000.0},
        {"mel_bands": 0},
        {"top_db": 0.0},
        {"window_seconds": 1e9},
    ],
)
def test_an_invalid_config_is_refused(change):
    """The error for each fault of a feature config contains the name of the field."""
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize(
    ("samples", "expected"), [([32767, -32768] * 240, 0.0), ([100] * 480, -100.0), ([0] * 480, -100)]
)
def test_level_dbfs(samples, expected):
    """A square wave at full scale has 0 dBFS; a constant (DC) has -100 dBFS."""
    assert level_dbfs(np.array(samples, np.int16)) == pytest.approx(expected, abs=0.01)
