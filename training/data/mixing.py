"""Mixtures of unlabelled sounds, filtered at random: windows for distillation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import soxr
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.errors import InputError
from device.types import FULL_SCALE, Samples
from device.util.samples import to_float
from training.data.augmentation import crop_or_pad, random_filter
from training.data.dataset import sound_files
from training.data.progress import progress

_EXCERPT_SECONDS = 5.0
"""Excerpt of a long recording, seconds, before speed and position in the window are drawn."""
_SILENT_RMS = 1e-4
_PEAK = 0.5
"""Peak of every window, full scale 1: the teacher depends on the level, a log-mel does not."""


@dataclass(frozen=True)
class MixtureConfig:
    """Ranges that a window is drawn from, uniformly."""

    speed: tuple[float, float] = (0.8, 1.25)
    """Factor of speed, pitch and tempo together; its logarithm is drawn uniformly."""
    speed_share: float = 0.7
    """Share of the sounds with a changed speed, 0 to 1."""
    filter_db: float = 8.0
    """Largest boost or cut of the random filter, dB."""
    filter_share: float = 0.6
    """Share of the sounds that are filtered, 0 to 1."""
    second_share: float = 0.5
    """Share of the windows with two sounds, 0 to 1."""
    second_db: tuple[float, float] = (0.0, 20.0)
    """Level of the first sound above the second, dB."""
    kept_seconds: float = 20.0
    """Length of a recording's beginning that is kept, seconds."""


class Mixtures:
    """Sounds in memory, to draw windows from.

    Each folder gets the same share of the windows; a folder that is named twice gets twice as many. Within a folder,
    the probability of a recording is proportional to the square root of its length.

    Args:
        folders: searched recursively.
        sample_rate: sample rate of the windows, Hz.
        config: ranges to draw from.

    Raises:
        InputError: a folder contains no sound, or a file is unreadable.
    """

    def __init__(self, folders: Sequence[Path], sample_rate: int, config: MixtureConfig) -> None:
        self._config = config
        self._rate = sample_rate
        self._sounds: list[Samples] = []
        shares = []
        for folder in folders:
            paths = sound_files(folder)
            if not paths:
                raise InputError(f"{folder}: no sound file in or below this folder. Check the path")
            limit = int(config.kept_seconds * sample_rate)
            sounds = [read_samples(path, sample_rate)[:limit] for path in progress(paths, len(paths), folder.name)]
            lengths = np.sqrt([len(sound) for sound in sounds])
            shares.append(lengths / lengths.sum() / len(folders))
            self._sounds += sounds
        self._share = np.concatenate(shares)

    def draw(self, length: int, rng: np.random.Generator) -> Samples:
        """Draw one window, shape (length,), int16; the same state of `rng` gives the same window."""
        window = self._sound(length, rng)
        if rng.random() < self._config.second_share:
            below_db = rng.uniform(*self._config.second_db)
            window = window + self._sound(length, rng) * np.float32(10.0 ** (-below_db / 20.0))
        return normalize_peak(window)

    def _sound(self, length: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a single sound in a window, with an RMS of 1; silence is drawn again."""
        excerpt_length = int(_EXCERPT_SECONDS * self._rate)
        config = self._config
        while True:
            samples = self._sounds[rng.choice(len(self._sounds), p=self._share)]
            signal = to_float(samples)
            if len(signal) > excerpt_length:
                signal = crop_or_pad(signal, excerpt_length, rng)
            speed = np.exp(rng.uniform(*np.log(config.speed)))
            if rng.random() < config.speed_share:
                signal = soxr.resample(signal, speed, 1.0)
            signal = crop_or_pad(signal, length, rng)
            if rng.random() < config.filter_share:
                signal = scipy.signal.fftconvolve(signal, random_filter(config.filter_db, rng), mode="same")
            level = float(np.sqrt(np.mean(signal**2)))
            if level > _SILENT_RMS:
                return (signal / level).astype(np.float32)


def normalize_peak(signal: NDArray[Any]) -> Samples:
    """Return a signal, shape (n,), int16, scaled to the peak of all windows of the teacher; silence stays silence."""
    peak = max(float(np.abs(signal.astype(np.float32)).max()), _SILENT_RMS)
    quantized: Samples = (signal * (_PEAK * FULL_SCALE / peak)).astype(np.int16)
    return quantized
