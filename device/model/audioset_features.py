"""Log-mel features of the AudioSet network, EfficientAT mn04, computed from 16 kHz samples.

The network was trained on 32 kHz samples (F. Schmid, K. Koutini, G. Widmer, "Efficient Large-scale Audio Tagging via
Transformer-to-CNN Knowledge Distillation", ICASSP 2023). Its own front end pre-emphasizes them, takes a short-time
Fourier transform with the same frames in seconds, and applies triangular filters on Kaldi's mel scale. Here the
pre-emphasis is a factor on each bin, and only the bins below half the device's sample rate exist: without resampling,
the log-mels correlate to 0.9994 with those of the network's own front end.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from device.model.frames import FrameConfig, MelFilters, centred, frames_of, picture, power_spectrogram
from device.types import FULL_SCALE, LogMel, Samples
from device.util.samples import to_float

_TRAINED_RATE = 32000
"""Sample rate of the network's training, Hz. Pre-emphasis and mel filters belong to it."""
_PRE_EMPHASIS = 0.97
_OFFSET = 1e-5
"""Added to the mel power before the logarithm."""
_CENTER, _SCALE = 4.5, 5.0
"""The network's input is (ln(power + 1e-5) + 4.5) / 5."""
_TOP_DB = 80.0
"""Dynamic range of the picture below the window's peak, dB."""
_COMPARED, _CANDIDATES = 16, 4
"""Samples at the begin of a window that are searched in the last one, and the most places that are compared wholly."""


@dataclass(frozen=True)
class AudioSetFeatureConfig(FrameConfig):
    """Parameters of the AudioSet network's log-mel: times in seconds, rates in Hz.

    They belong to a trained network, so they come from the bundle and never from config.yaml.
    """

    sample_rate: int = 16000
    """Sample rate, Hz. At most that of the network's training, 32000."""
    window_seconds: float = 3.0
    """Length of a window, s."""
    win_length_seconds: float = 0.025
    """Length of the symmetric Hann window of a frame, s."""
    hop_length_seconds: float = 0.010
    """Time from the center of a frame to the center of the next, s."""
    mel_bands: int = 128
    """Number of mel bands, 1 to 1024."""
    fmin: float = 0.0
    """Lower edge of the lowest mel band, Hz."""
    fmax: float = 15000.0
    """Upper edge of the highest mel band, Hz; at most 16000. Bands above half the sample rate are empty."""
    peak: float = 0.5
    """Peak that each window is scaled to, full scale 1: the network depends on the level."""

    def __post_init__(self) -> None:
        """Refuse parameters that cannot be computed.

        Raises:
            ValueError: a field is out of range; the message contains its value and the allowed values.
        """
        highest = _TRAINED_RATE // 2
        self.check((8000, 16000, 32000), highest, str(highest))
        if not 0 < self.peak <= 1:
            raise ValueError(f"peak is {self.peak}, must be above 0 and at most 1")

    @cached_property
    def frames(self) -> int:
        """Number of frames in a window. Frames are centred, and the window is padded by its reflection."""
        return 1 + self.window_length // self.hop_length


class AudioSetLogMel:
    """Log-mels of successive windows: frames that a window shares with the last one are computed once.

    Windows of a sound that lasts overlap by two thirds. The result depends on the samples alone, but for the rounding
    of float32. Used from one thread.

    Args:
        config: parameters from the bundle.
    """

    def __init__(self, config: AudioSetFeatureConfig) -> None:
        self._config = config
        self._hann, self._filters = _hann(config.win_length, config.n_fft), _filters(config)
        half = config.n_fft // 2
        # Frames that reach beyond the window contain its reflection: no other window has the same.
        self._inner = range(-(-half // config.hop_length), (config.window_length - half) // config.hop_length + 1)
        self._last: tuple[Samples, NDArray[np.float32]] | None = None

    def __call__(self, samples: Samples) -> LogMel:
        """Compute the log-mel of one window.

        The window is scaled to the peak, so the microphone's gain cancels. Digital silence stays silence.

        Args:
            samples: shape (window_length,), int16, mono, at `config.sample_rate`.

        Returns:
            Shape (mel_bands, frames), float32: (ln(mel power + 1e-5) + 4.5) / 5, at least -1.41.

        Raises:
            ValueError: `samples` has another shape.
        """
        self._config.check_window(samples)
        mel_power = self._mel_power(samples)
        self._last = samples.copy(), mel_power
        peak = max(int(samples.max()), -int(samples.min())) / FULL_SCALE
        values: LogMel = mel_power * np.float32((self._config.peak / peak) ** 2 if peak > 0 else 1.0)
        values += np.float32(_OFFSET)
        np.log(values, out=values)
        values += np.float32(_CENTER)
        values /= np.float32(_SCALE)
        return values

    def _mel_power(self, samples: Samples) -> NDArray[np.float32]:
        """Compute the mel power of all frames, shape (mel_bands, frames), float32, full scale 1."""
        half, signal = self._config.n_fft // 2, to_float(samples)
        padded = np.concatenate([signal[half:0:-1], signal, signal[-2 : -half - 2 : -1]])  # by its reflection
        frames = frames_of(padded, self._config.n_fft, self._config.hop_length)
        shift = self._find_shift(samples)
        if self._last is None or shift is None:
            return self._filters(power_spectrogram(frames, self._hann))
        first, end = self._inner.start, self._inner.stop - shift
        new = self._filters(power_spectrogram(np.concatenate([frames[:first], frames[end:]]), self._hann))
        shared = self._last[1][:, first + shift : end + shift]
        return np.concatenate([new[:, :first], shared, new[:, first:]], axis=1)

    def _find_shift(self, samples: Samples) -> int | None:
        """Return the number of frames by which a window begins after the last one; None without common frames."""
        if self._last is None:
            return None
        last, hop_length = self._last[0], self._config.hop_length
        begins = last[: len(self._inner) * hop_length].reshape(-1, hop_length)[:, :_COMPARED]
        same = (begins == samples[: begins.shape[1]]).all(axis=1)
        for shift in np.flatnonzero(same)[:_CANDIDATES].tolist():
            start = shift * hop_length
            if np.array_equal(last[start:], samples[: len(last) - start]):
                return int(shift)
        return None


def audioset_log_mel(samples: Samples, config: AudioSetFeatureConfig) -> LogMel:
    """Compute the AudioSet network's log-mel of one window, see `AudioSetLogMel`."""
    return AudioSetLogMel(config)(samples)


def audioset_picture(log_mel: LogMel, config: AudioSetFeatureConfig) -> LogMel:
    """Map the AudioSet network's log-mel to the range of a picture.

    Args:
        log_mel: shape (mel_bands, frames), from `audioset_log_mel`.
        config: parameters from the bundle.

    Returns:
        Shape (bands below half the sample rate, frames), float32, in [-1, 1]: 1 is the window's peak, -1 is 80 dB
        below it.
    """
    decibel = log_mel[: _filled_bands(config)] * (_SCALE * 10.0 / math.log(10.0))
    return picture(decibel, _TOP_DB)


@lru_cache(maxsize=4)
def _hann(win_length: int, n_fft: int) -> NDArray[np.float32]:
    """Return a symmetric Hann window of `win_length`, centred in `n_fft` samples, shape (n_fft,), float32."""
    return centred(np.hanning(win_length), n_fft)


@lru_cache(maxsize=4)
def _filters(config: AudioSetFeatureConfig) -> MelFilters:
    """Return the mel filters with level correction and pre-emphasis.

    A frame of the training contains more samples than a frame here, in the same time: its power is larger by the square
    of the ratio of the sample rates. The pre-emphasis y[t] = x[t] - 0.97 x[t - 1] has the power response
    |1 - 0.97 exp(-iw)|^2, w = 2 pi f / 32000.
    """
    hertz = np.fft.rfftfreq(config.n_fft, 1.0 / config.sample_rate)
    rates = (_TRAINED_RATE / config.sample_rate) ** 2
    response = rates * np.abs(1.0 - _PRE_EMPHASIS * np.exp(-2j * np.pi * hertz / _TRAINED_RATE)) ** 2
    left, width = _band_edges(config)
    mels = _hz_to_mel(hertz)
    triangles = np.minimum((mels - left[:, None]) / width, (left[:, None] + 2 * width - mels) / width)
    triangles[:, hertz >= _TRAINED_RATE / 2] = 0.0
    return MelFilters(np.asarray(np.maximum(0.0, triangles) * response, np.float32))


def _filled_bands(config: AudioSetFeatureConfig) -> int:
    """Count the bands that begin below half the sample rate; at least one does."""
    left, _ = _band_edges(config)
    return max(1, int((left < _hz_to_mel(np.array(config.sample_rate / 2))).sum()))


def _band_edges(config: AudioSetFeatureConfig) -> tuple[NDArray[np.float64], float]:
    """Return each band's lower edge, shape (mel_bands,), and half the width of a band, both in mel."""
    lowest, highest = (float(_hz_to_mel(np.array(hertz))) for hertz in (config.fmin, config.fmax))
    half_width = (highest - lowest) / (config.mel_bands + 1)
    return lowest + half_width * np.arange(config.mel_bands), half_width


def _hz_to_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert to Kaldi's mel scale."""
    return np.asarray(1127.0 * np.log1p(hertz / 700.0), np.float64)
