"""Tone envelope: level of narrow bands above their surroundings, every 10 ms, for the pulses of alarms."""

import numpy as np
from numpy.typing import NDArray

from device.types import FULL_SCALE, Samples
from device.util.fft import rfft

Envelope = NDArray[np.float32]
"""Prominence of each band, shape (steps, bands), dB."""
STEP_SECONDS = 0.010
"""Time from one step to the next, s."""
_FRAME_SECONDS = 0.020
"""Length of a frame, s: bins of 50 Hz."""
_TONES_HZ = ((2800.0, 3600.0), (450.0, 600.0))
"""Two ranges of bins, each a band, that may contain the tone, Hz."""
_SURROUNDINGS_HZ = (((2200.0, 2600.0), (3900.0, 4300.0)), ((300.0, 375.0), (675.0, 900.0)))
"""Ranges around each of them, Hz. A bang rises there as well, a tone does not."""


class ToneEnvelope:
    """Short-time Fourier transform, of which only the bins in and around the bands are used.

    Args:
        sample_rate: Hz, at least 8600.

    Attributes:
        hop_length: samples from one step to the next.
        bands: number of bands.
    """

    def __init__(self, sample_rate: int) -> None:
        self.hop_length, self._frame_length = (round(each * sample_rate) for each in (STEP_SECONDS, _FRAME_SECONDS))
        frequencies = np.fft.rfftfreq(self._frame_length, 1 / sample_rate)
        tones = [_bins(frequencies, (tone,)) for tone in _TONES_HZ]
        surroundings = [_bins(frequencies, ranges) for ranges in _SURROUNDINGS_HZ]
        self._bins = np.concatenate(tones + surroundings)
        self.bands = sum(map(len, tones))
        self._hann = (np.hanning(self._frame_length + 1)[:-1] / FULL_SCALE).astype(np.float32)
        self._differences = _differences(tones, surroundings).astype(np.float32)
        self._rest = np.zeros(0, np.int16)

    def reset(self) -> None:
        """Forget the samples that complete no step, after a break in the sound."""
        self._rest = self._rest[:0]

    def feed(self, samples: Samples, *, is_quiet: bool = False) -> Envelope:
        """Return the steps that more samples complete.

        Args:
            samples: shape (n,), int16.
            is_quiet: True to return zeros, a prominence of no tone, without a transform.
        """
        samples = np.concatenate([self._rest, samples])
        steps = max(0, (len(samples) - self._frame_length) // self.hop_length + 1)
        self._rest = samples[steps * self.hop_length :]
        if is_quiet or not steps:
            return np.zeros((steps, self.bands), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(samples, self._frame_length)[:: self.hop_length][:steps]
        spectrum = rfft(frames * self._hann)[:, self._bins]
        levels = np.log10(spectrum.real**2 + spectrum.imag**2 + np.float32(1e-10))
        prominence: Envelope = levels @ self._differences
        return prominence


def _bins(frequencies: NDArray[np.float64], ranges: tuple[tuple[float, float], ...]) -> NDArray[np.int64]:
    """Return the numbers of the bins in any of the ranges, Hz."""
    return np.flatnonzero(np.any([(low <= frequencies) & (frequencies <= high) for low, high in ranges], axis=0))


def _differences(tones: list[NDArray[np.int64]], surroundings: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the matrix from log10 powers of the bins to the prominence of each band, dB.

    Returns:
        Shape (bins, bands): 10 for a band's own bin, less the mean over the surroundings of its range.
    """
    means = [
        np.full((len(around), len(tone)), 1 / len(around)) for tone, around in zip(tones, surroundings, strict=True)
    ]
    bands = sum(map(len, tones))
    matrix = np.zeros((bands + sum(map(len, surroundings)), bands))
    matrix[:bands] = np.eye(bands)
    row, column = bands, 0
    for mean in means:
        matrix[row : row + mean.shape[0], column : column + mean.shape[1]] = -mean
        row, column = row + mean.shape[0], column + mean.shape[1]
    return 10 * matrix
