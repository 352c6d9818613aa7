"""Log-mel features of a window. The daemon and training share this implementation.

Mel scale and filters follow M. Slaney, "Auditory Toolbox: Version 2", Technical Report 1998-010, Interval Research,
1998: linear below 1 kHz, logarithmic above, triangles of equal area. They are also librosa's default, and a test
compares this module with librosa.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from device.model.frames import FrameConfig, MelFilters, centred, frames_of, picture, power_spectrogram
from device.types import LogMel, Samples
from device.util.samples import to_float

_AMIN = 1e-10
"""Least power before the logarithm (`amin` of librosa.power_to_db)."""


@dataclass(frozen=True)
class FeatureConfig(FrameConfig):
    """Parameters of the log-mel: times in seconds, rates in Hz. Lengths in samples are derived from them.

    They belong to a trained network, so they come from the bundle and never from config.yaml.
    """

    sample_rate: int = 16000
    """Sample rate, Hz. webrtcvad accepts 8000, 16000, 32000 and 48000."""
    window_seconds: float = 3.0
    """Length of a window, s."""
    win_length_seconds: float = 0.040
    """Length of the periodic Hann window of a frame, s."""
    hop_length_seconds: float = 0.016
    """Time from the start of a frame to the start of the next, s."""
    mel_bands: int = 128
    """Number of mel bands, 1 to 1024."""
    fmin: float = 50.0
    """Lower edge of the lowest mel band, Hz."""
    fmax: float = 8000.0
    """Upper edge of the highest mel band, Hz; at most half the sample rate."""
    top_db: float = 80.0
    """Dynamic range below the window's peak, dB."""

    def __post_init__(self) -> None:
        """Refuse parameters that cannot be computed.

        Raises:
            ValueError: a field is out of range; the message contains its value and the allowed values.
        """
        self.check((8000, 16000, 32000, 48000), self.sample_rate / 2, "sample_rate / 2")
        if not 0 < self.top_db <= 200:
            raise ValueError(f"top_db is {self.top_db}, must be above 0 and at most 200 dB")

    @cached_property
    def frames(self) -> int:
        """Number of frames in a window. The window is not padded, so only whole frames count."""
        return 1 + (self.window_length - self.n_fft) // self.hop_length


def log_mel(samples: Samples, config: FeatureConfig) -> LogMel:
    """Compute the log-mel of one window.

    The result depends on the samples alone, so file and microphone, and any block size, give the same log-mel. Levels
    are relative to the window's peak, so the microphone's gain cancels.

    Args:
        samples: shape (window_length,), int16, mono, at `config.sample_rate`.
        config: parameters from the bundle.

    Returns:
        Shape (mel_bands, frames), float32, in [-1, 1].

    Raises:
        ValueError: `samples` has another shape.
    """
    config.check_window(samples)
    frames = frames_of(to_float(samples), config.n_fft, config.hop_length)
    decibel = _mel_filters(config)(power_spectrogram(frames, _hann(config.win_length, config.n_fft)))
    np.log10(np.maximum(decibel, _AMIN, out=decibel), out=decibel)
    decibel *= 10.0
    return picture(decibel, config.top_db)


@lru_cache(maxsize=4)
def _hann(win_length: int, n_fft: int) -> NDArray[np.float32]:
    """Return a periodic Hann window of `win_length`, centred in `n_fft` samples, shape (n_fft,), float32."""
    return centred(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(win_length) / win_length), n_fft)


@lru_cache(maxsize=4)
def _mel_filters(config: FeatureConfig) -> MelFilters:
    """Return triangular filters of equal area (Slaney, 1998)."""
    edges = _mel_to_hz(np.linspace(_hz_to_mel(config.fmin), _hz_to_mel(config.fmax), config.mel_bands + 2))
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.fft.rfftfreq(config.n_fft, 1.0 / config.sample_rate)[None, :]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return MelFilters(np.asarray(triangles * (2.0 / (upper - lower)), np.float32))


# Slaney's mel scale: 200/3 Hz for each mel up to 1 kHz, then a factor of 6.4 for 27 mels.
_HZ_PER_MEL = 200.0 / 3.0
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27.0


def _hz_to_mel(frequency: float) -> float:
    if frequency < _LOG_START_HZ:
        return frequency / _HZ_PER_MEL
    return _LOG_START_MEL + math.log(frequency / _LOG_START_HZ) / _LOG_STEP


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = _HZ_PER_MEL * mels
    logarithmic = _LOG_START_HZ * np.exp(_LOG_STEP * (mels - _LOG_START_MEL))
    return np.where(mels < _LOG_START_MEL, linear, logarithmic)
