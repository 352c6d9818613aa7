"""Frames of a window: the parameters, checks and steps that the log-mels of all networks share."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.types import LogMel, Samples
from device.util.fft import rfft

_PART_SAMPLES = 1 << 15
"""Samples that are transformed at once. Arrays above 128 kB are new pages, which can take longer than the transform."""
_GROUP_BANDS = 16
"""Mel bands that are computed by one matrix product."""


@dataclass(frozen=True)
class FrameConfig(ABC):
    """Base class of the parameters of a log-mel. Each network has its own defaults.

    They belong to a trained network, so they come from the bundle and never from config.yaml.

    Attributes:
        sample_rate: Hz.
        window_seconds: length of a window, s.
        win_length_seconds: length of the Hann window of a frame, s.
        hop_length_seconds: time from a frame to the next, s.
        mel_bands: number of mel bands, 1 to 1024.
        fmin: lower edge of the lowest mel band, Hz.
        fmax: upper edge of the highest mel band, Hz.
    """

    sample_rate: int
    window_seconds: float
    win_length_seconds: float
    hop_length_seconds: float
    mel_bands: int
    fmin: float
    fmax: float

    def check(self, rates: tuple[int, ...], highest_fmax: float, highest_name: str) -> None:
        """Refuse parameters that cannot be computed.

        Args:
            rates: possible sample rates, Hz.
            highest_fmax: highest `fmax`, Hz.
            highest_name: the same for a message.

        Raises:
            ValueError: a field is out of range; the message contains its value and the allowed values.
        """
        if self.sample_rate not in rates:
            allowed = ", ".join(map(str, rates[:-1]))
            raise ValueError(f"sample_rate is {self.sample_rate}, must be {allowed} or {rates[-1]} Hz")
        if not 0 < self.hop_length_seconds <= self.win_length_seconds <= self.window_seconds <= 60:
            raise ValueError(
                "must be 0 < hop_length_seconds <= win_length_seconds <= window_seconds <= 60, but they are "
                f"{self.hop_length_seconds}, {self.win_length_seconds}, {self.window_seconds}"
            )
        if self.hop_length < 1:
            raise ValueError(f"hop_length_seconds is {self.hop_length_seconds}, shorter than one sample")
        if self.n_fft > self.window_length:
            raise ValueError(
                f"window_seconds is {self.window_seconds}, shorter than a transform of {self.n_fft} samples"
            )
        if not 0 <= self.fmin < self.fmax <= highest_fmax:
            raise ValueError(f"must be 0 <= fmin < fmax <= {highest_name}, but they are {self.fmin}, {self.fmax}")
        if not 1 <= self.mel_bands <= 1024:
            raise ValueError(f"mel_bands is {self.mel_bands}, must be 1 to 1024")

    def check_window(self, samples: Samples) -> None:
        """Refuse samples of another shape than (window_length,).

        Raises:
            ValueError: `samples` has another shape.
        """
        if samples.shape != (self.window_length,):
            raise ValueError(f"the window has shape {samples.shape}, must be ({self.window_length},)")

    @cached_property
    def window_length(self) -> int:
        """Length of a window, samples."""
        return round(self.window_seconds * self.sample_rate)

    @cached_property
    def win_length(self) -> int:
        """Length of a frame's Hann window, samples."""
        return round(self.win_length_seconds * self.sample_rate)

    @cached_property
    def hop_length(self) -> int:
        """Distance from a frame to the next, samples."""
        return round(self.hop_length_seconds * self.sample_rate)

    @cached_property
    def n_fft(self) -> int:
        """Length of the Fourier transform, samples: the least power of two that is at least `win_length`."""
        return 1 << math.ceil(math.log2(self.win_length))

    @property
    @abstractmethod
    def frames(self) -> int:
        """Number of frames in a window."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a log-mel: (mel_bands, frames)."""
        return self.mel_bands, self.frames


def centred(hann: NDArray[np.float64], n_fft: int) -> NDArray[np.float32]:
    """Centre the Hann window of a frame in the samples of its transform, shape (n_fft,), float32."""
    left = (n_fft - len(hann)) // 2
    return np.asarray(np.pad(hann, (left, n_fft - len(hann) - left)), np.float32)


def frames_of(signal: NDArray[np.float32], n_fft: int, hop_length: int) -> NDArray[np.float32]:
    """Return a view of the whole frames of a signal, shape (frames, n_fft), float32.

    Args:
        signal: shape (n,), float32, contiguous, n at least `n_fft`.
        n_fft: length of a frame, samples.
        hop_length: distance from a frame to the next, samples.
    """
    # As sliding_window_view does, in a twentieth of its time.
    shape = 1 + (len(signal) - n_fft) // hop_length, n_fft
    return np.ndarray(shape, np.float32, signal, strides=(hop_length * signal.itemsize, signal.itemsize))


def power_spectrogram(frames: NDArray[np.float32], hann: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the power of the short-time Fourier transform.

    Args:
        frames: shape (frames, n_fft), float32, full scale 1.
        hann: window of a frame, shape (n_fft,), float32.

    Returns:
        Shape (1 + n_fft // 2, frames), float32.
    """
    power = np.empty((len(frames), len(hann) // 2 + 1), np.float32)
    step = max(1, _PART_SAMPLES // len(hann))
    for start in range(0, len(frames), step):
        spectrum = rfft(frames[start : start + step] * hann)
        part = np.square(spectrum.real, out=power[start : start + step])
        part += np.square(spectrum.imag)
    return power.T


class MelFilters:
    """Mel filters, applied in groups of neighbouring bands, each to its own bins: 98 % of all weights are zero.

    Args:
        weights: shape (mel_bands, 1 + n_fft // 2), float32, at least 0.
    """

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._bands = len(weights)
        self._groups: list[tuple[slice, slice, NDArray[np.float32]]] = []
        for first in range(0, len(weights), _GROUP_BANDS):
            bands = slice(first, first + _GROUP_BANDS)
            if len(used := np.flatnonzero(weights[bands].any(axis=0))):
                bins = slice(int(used[0]), int(used[-1]) + 1)
                self._groups.append((bands, bins, np.ascontiguousarray(weights[bands, bins])))

    def __call__(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the power of each band, shape (mel_bands, frames), float32, from `power_spectrogram`."""
        mel_power = np.zeros((self._bands, power.shape[1]), np.float32)
        for bands, bins, weights in self._groups:
            np.matmul(weights, power[bins], out=mel_power[bands])
        return mel_power


def picture(decibel: NDArray[np.float32], top_db: float) -> LogMel:
    """Map levels, dB, to the range of a picture, float32: 1 is their peak, -1 is `top_db` below it, or less."""
    values: LogMel = decibel - decibel.max()
    np.maximum(values, -top_db, out=values)
    values *= 2.0 / top_db
    values += 1.0
    return values
