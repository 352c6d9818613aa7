from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import device.model.audioset_features
from device.model.audioset_features import AudioSetFeatureConfig, AudioSetLogMel, audioset_log_mel, audioset_picture

CONFIG = AudioSetFeatureConfig()


def unscaled(waveform):
    """Compute the log-mel without the scaling to a common peak: the golden values are of the samples as they are."""
    peak = float(np.abs(waveform.astype(float)).max()) / 32768
    return audioset_log_mel(waveform, AudioSetFeatureConfig(peak=peak))


def noise(seed, level=300):
    return np.random.default_rng(seed).normal(0, level, CONFIG.window_length).astype(np.int16)


def test_the_golden_log_mels_are_reproduced():
    """The log-mels of synthesized waveforms equal those of the network's own front end, within their rounding."""
    with np.load(Path(__file__).with_name("audioset_golden.npz")) as golden:
        for waveform, expected in zip(golden["waveform"], golden["log_mel"], strict=True):
            np.testing.assert_allclose(unscaled(waveform), expected, rtol=0, atol=3e-3)


@pytest.mark.shared
def test_the_original_golden_log_mels_are_reproduced(shared):
    """The unrounded golden log-mels are reproduced to 1e-4, but for 1 value in 1000 near the logarithm's offset."""
    with np.load(shared / "weights" / "efficientat_mn04_golden.npz") as golden:
        for waveform, expected in zip(golden["waveform"], golden["log_mel"], strict=True):
            difference = np.abs(unscaled(waveform) - expected)
            assert np.quantile(difference, 0.999) < 1e-4
            assert difference.max() < 5e-4


@given(factor=st.integers(1, 20), seed=st.integers(0, 3))
def test_the_level_does_not_matter(factor, seed):
    """A window that is louder by any factor has the same log-mel."""
    quiet = noise(seed)
    np.testing.assert_allclose(
        audioset_log_mel(quiet * np.int16(factor), CONFIG), audioset_log_mel(quiet, CONFIG), rtol=0, atol=1e-4
    )


@given(value=st.integers(-32768, 32767), place=st.integers(0, CONFIG.window_length - 1))
@example(value=0, place=0)
@example(value=-32768, place=0)
def test_silence_and_single_samples_are_finite(value, place):
    """Digital silence, and a single sample of any level, have a finite log-mel and picture."""
    samples = np.zeros(CONFIG.window_length, np.int16)
    samples[place] = value
    log_mel = audioset_log_mel(samples, CONFIG)
    assert log_mel.shape == CONFIG.shape == (128, 301)
    assert log_mel.dtype == np.float32
    assert np.isfinite(log_mel).all()
    assert np.isfinite(audioset_picture(log_mel, CONFIG)).all()


def test_the_picture_covers_the_dynamic_range():
    """The picture lies in [-1, 1], its maximum is the window's peak, and bands above 8 kHz are left out."""
    time = np.arange(CONFIG.window_length) / CONFIG.sample_rate
    tone = (8000 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16)
    picture = audioset_picture(audioset_log_mel(tone, CONFIG), CONFIG)
    assert picture.dtype == np.float32
    assert picture.min() >= -1
    assert picture.max() == 1
    assert picture.shape == (105, 301)
    loudest = int(picture.mean(axis=1).argmax())
    assert loudest == pytest.approx(1127 * np.log1p(1000 / 700) / 27.2 - 1, abs=1)


def test_lengths_follow_from_seconds():
    """Lengths in samples are those of the network: 25 ms frames, 10 ms hops, 301 frames in 3 s."""
    assert (CONFIG.window_length, CONFIG.win_length, CONFIG.n_fft, CONFIG.hop_length) == (48000, 400, 512, 160)
    assert CONFIG.frames == 301


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 44100}, "sample_rate is 44100"),
        ({"win_length_seconds": 0.001}, "hop_length_seconds <= win_length_seconds"),
        ({"hop_length_seconds": 1e-6}, "shorter than one sample"),
        ({"window_seconds": 0.026}, "shorter than a transform"),
        ({"fmax": 16001.0}, "fmin < fmax <= 16000"),
        ({"mel_bands": 0}, "mel_bands is 0"),
        ({"peak": 0.0}, "peak is 0.0"),
    ],
)
def test_impossible_parameters_are_refused(changes, message):
    """Parameters that cannot be computed are refused with their value and the allowed ones."""
    with pytest.raises(ValueError, match=message):
        AudioSetFeatureConfig(**changes)


def test_a_window_of_another_length_is_refused():
    """A window of another length is an error with both lengths."""
    with pytest.raises(ValueError, match=r"\(100,\), must be \(48000,\)"):
        audioset_log_mel(np.zeros(100, np.int16), CONFIG)


def windows_at(starts, level=300):
    """Return windows of one sound, with digital silence and a period, at their starts in samples."""
    rng = np.random.default_rng(2)
    parts = [rng.normal(0, level, 60000), np.zeros(20000), np.tile(rng.normal(0, level, 320), 300)]
    sound = np.concatenate(parts).astype(np.int16)
    return [sound[start : start + CONFIG.window_length] for start in starts]


@settings(max_examples=40, deadline=None)
@given(
    starts=st.lists(
        st.one_of(st.integers(0, 800).map(lambda hop: hop * 160), st.integers(0, 128000)), min_size=2, max_size=6
    ),
    level=st.sampled_from([1, 300]),
)
@example(starts=[0, 16000, 32000, 16000, 16000], level=300)
@example(starts=[60000, 64000, 80000, 80160, 80001], level=300)
def test_windows_that_share_frames_have_the_log_mels_of_windows_alone(starts, level):
    """The frames at both ends of a window, which contain its reflection, are never taken from another window."""
    compute = AudioSetLogMel(CONFIG)
    for window in windows_at(starts, level):
        np.testing.assert_allclose(compute(window), audioset_log_mel(window, CONFIG), rtol=0, atol=2e-6)


def test_a_window_transforms_only_the_frames_that_are_new(monkeypatch):
    """Of a window that begins 1 s after the last one, its last second is transformed, and two frames at each end."""
    transformed, spectrogram = [], device.model.audioset_features.power_spectrogram

    def count(frames, hann):
        transformed.append(len(frames))
        return spectrogram(frames, hann)

    monkeypatch.setattr(device.model.audioset_features, "power_spectrogram", count)
    compute = AudioSetLogMel(CONFIG)
    for window in windows_at([0, 16000, 32000, 32001]):
        compute(window)
    assert transformed == [301, 104, 104, 301]
