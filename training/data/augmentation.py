"""Augmented copies of clips: another speed, filter, gain and background.

The clips come from few recordings. A network must learn the features that stay the same when the recording, the
microphone and the background change. Each copy therefore draws anew: a speed (another source of the same kind), a
smooth filter and a gain (another microphone and distance), and a background (another place).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.signal
import soxr
from numpy.typing import NDArray

from device.types import Samples
from device.util.samples import to_float, to_int16

_FILTER_TAPS = 129
"""At 16 kHz this shapes the spectrum on a scale of about 125 Hz: the coloration of a microphone, not a melody."""
_FILTER_POINTS = 8


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges that copies are drawn from, uniformly. A range of (x, x) switches a change off."""

    speed: tuple[float, float] = (0.8, 1.25)
    """Factor of speed, pitch and tempo together; its logarithm is drawn uniformly."""
    filter_db: float = 8.0
    """Largest boost or cut of the random filter, dB."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Gain, dB. Clipping is intended: cheap microphones clip too."""
    background_db: tuple[float, float] = (5.0, 25.0)
    """Level of the clip above the background, dB."""
    background_share: float = 0.75
    """Share of copies with a background, 0 to 1."""
    cut_share: float = 0.5
    """Share of copies that are cut like the device's windows, 0 to 1: with background before the sound, or without its
    end. The others are cut like clips, with as much of the sound as fits."""


def augment(
    samples: Samples,
    window_length: int,
    backgrounds: Sequence[Samples],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> Samples:
    """Draw one augmented window from a clip.

    Args:
        samples: the clip, shape (n,), int16, n at least 1.
        window_length: samples in a window.
        backgrounds: recordings to mix in, int16, at the same rate, without any sound of a label.
        config: ranges to draw from.
        rng: random generator; the same state gives the same window.

    Returns:
        Shape (window_length,), int16.
    """
    speed = np.exp(rng.uniform(*np.log(config.speed)))
    # Playback at `speed` times the sample rate shortens the clip by that factor.
    signal = soxr.resample(to_float(samples), speed, 1.0)
    extract = cut if rng.random() < config.cut_share else crop_or_pad
    signal = extract(signal, window_length, rng)
    signal = scipy.signal.fftconvolve(signal, random_filter(config.filter_db, rng), mode="same")
    if backgrounds and rng.random() < config.background_share:
        background = crop_or_pad(
            to_float(backgrounds[rng.integers(len(backgrounds))]),
            window_length,
            rng,
        )
        signal = signal + background * _background_gain(signal, background, rng.uniform(*config.background_db))
    gain = 10.0 ** (rng.uniform(*config.gain_db) / 20.0)
    return to_int16(signal * gain)


def crop_or_pad(signal: NDArray[np.float32], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Crop a longer signal to `length` samples at a random place, or pad a shorter one with zeros around it."""
    spare = len(signal) - length
    if spare >= 0:
        start = rng.integers(spare + 1)
        return signal[start : start + length]
    before = rng.integers(-spare + 1)
    return np.pad(signal, (before, -spare - before))


def cut(signal: NDArray[np.float32], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Cut `length` samples at a random place, like the gate; samples outside the signal are 0.

    The window begins at most a third of its length before the signal. It contains at least a third of its length of the
    signal, or 60 % of a shorter signal.
    """
    third = length // 3
    held = min(third, -(-len(signal) * 3 // 5))
    start = rng.integers(-third, len(signal) - held + 1)
    padded = np.pad(signal, (third, length))
    return padded[third + start :][:length]


def random_filter(limit_db: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a linear-phase filter with a gain that varies smoothly within ±`limit_db` over the spectrum."""
    gains_db = rng.uniform(-limit_db, limit_db, _FILTER_POINTS)
    taps: NDArray[np.float64] = scipy.signal.firwin2(
        _FILTER_TAPS, np.linspace(0.0, 1.0, _FILTER_POINTS), 10.0 ** (gains_db / 20.0)
    )
    return taps


def _background_gain(signal: NDArray[np.float32], background: NDArray[np.float32], above_db: float) -> float:
    """Return the factor that brings the background `above_db` below the active part of the signal."""
    active = signal[np.abs(signal) > 0]
    if not active.size or not np.any(background):
        return 0.0
    level, background_level = np.sqrt(np.mean(active**2)), np.sqrt(np.mean(background**2))
    return float(level / background_level * 10.0 ** (-above_db / 20.0))
