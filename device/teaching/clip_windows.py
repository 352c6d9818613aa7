"""Windows of a clip that teaches a sound: as `classify` cuts them, and as the daemon does, over synthesised noise.

A microphone delivers a sound over its background, with the onset half a second after the window's start. A detector
that learns from clean clips alone misses such windows (docs/trials.md).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.audio.sound_file import open_sound, shown
from device.errors import InputError
from device.model.clip_scoring import clip_windows
from device.types import BLOCK_SECONDS, FULL_SCALE, Samples

SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 60.0
"""Length of a clip, s."""
_SILENCE_DBFS = -70.0
"""Level of the loudest 30 ms below which a clip is silent: a microphone's own noise."""
_QUIETER_DB = 25.0
"""Windows and blocks that are quieter than the loudest one of the clip by more than this are not its sound."""
_CLEAN, _NOISY = 12, 6
"""Largest number of windows of each kind."""
_PRE_ROLL_SECONDS, _HOP_SECONDS = 0.5, 1.0
"""Position of the noisy windows, as by the defaults of `window`."""
_SIGNAL_TO_NOISE_DB = (10.0, 20.0)
NOISE_EXPONENTS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Exponents of the power spectra of synthesised noises, from white to brown."""
_NOISE_DEVIATION = 3000.0
"""Their standard deviation, of int16: -21 dBFS."""


def read_clip(path: Path, sample_rate: int) -> Samples:
    """Read a clip that teaches a sound.

    Raises:
        InputError: the file is unreadable, silent, too short or too long.
    """
    with open_sound(path) as file:
        seconds = file.frames / file.samplerate
    if seconds > LONGEST_SECONDS:
        raise InputError(
            f"{shown(path)}: lasts {seconds:.0f} s, the longest clip is {LONGEST_SECONDS:.0f} s. Cut the sound out: "
            "ffmpeg -ss START -t 5 -i FILE CLIP.wav"
        )
    samples = read_samples(path, sample_rate)
    if len(samples) < SHORTEST_SECONDS * sample_rate:
        raise InputError(
            f"{shown(path)}: lasts {len(samples) / sample_rate:.2f} s, the shortest clip is {SHORTEST_SECONDS} s. "
            "Record the whole sound"
        )
    loudest = float(_block_levels(samples, sample_rate).max())
    if loudest < _SILENCE_DBFS:
        raise InputError(
            f"{shown(path)}: silent: its loudest 30 ms have {loudest:.0f} dBFS. Record it nearer or with more gain"
        )
    return samples


def teaching_windows(samples: Samples, window_length: int, sample_rate: int) -> NDArray[np.int16]:
    """Return the windows of a clip, shape (n, window_length), int16: first the clean ones, then those over noise.

    Args:
        samples: shape (n,), int16, from `read_clip`.
        window_length: samples in a window.
        sample_rate: Hz.
    """
    windows = clip_windows(samples, window_length)
    levels = 10.0 * np.log10(np.mean(np.square(windows, dtype=np.float64), axis=1) / FULL_SCALE**2 + 1e-12)
    loudest = np.argsort(-levels, kind="stable")[:_CLEAN]
    clean = windows[np.sort(loudest[levels[loudest] >= levels.max() - _QUIETER_DB])]
    return np.concatenate([clean, _windows_over_noise(samples, window_length, sample_rate)])


def noise_window(length: int, exponent: float, random: np.random.Generator) -> Samples:
    """Synthesise noise as `colored_noise` does, shape (length,), int16, -21 dBFS."""
    return np.asarray(np.clip(_NOISE_DEVIATION * colored_noise(length, exponent, random), -32768, 32767), np.int16)


def colored_noise(length: int, exponent: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Synthesise noise with the power spectrum 1 / f^exponent, shape (length,), standard deviation 1."""
    spectrum = np.fft.rfft(random.normal(size=length))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1.0) ** (exponent / 2.0)
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / noise.std(), np.float64)


def _windows_over_noise(samples: Samples, window_length: int, sample_rate: int) -> NDArray[np.int16]:
    """Return windows over pink noise, the first one half a second before the onset, the others a second apart."""
    random = np.random.default_rng(0)  # the same clip gives the same windows
    block = round(BLOCK_SECONDS * sample_rate)
    levels = _block_levels(samples, sample_rate)
    sounding = np.flatnonzero(levels >= levels.max() - _QUIETER_DB)
    sound = samples[sounding[0] * block : (sounding[-1] + 1) * block].astype(np.float64)
    loud = np.sort(levels[sounding])[-max(1, len(sounding) // 4) :]
    decibel = 10.0 * np.log10(np.mean(10.0 ** (loud / 10.0))) - random.uniform(*_SIGNAL_TO_NOISE_DB)
    pre_roll, hop = round(_PRE_ROLL_SECONDS * sample_rate), round(_HOP_SECONDS * sample_rate)
    scene = colored_noise(pre_roll + len(sound) + window_length, 1.0, random) * FULL_SCALE * 10.0 ** (decibel / 20.0)
    scene[pre_roll : pre_roll + len(sound)] += sound
    starts = list(range(0, max(1, len(sound)), hop))
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(len(starts), _NOISY)).round().astype(int))
    windows = np.stack([scene[starts[number] : starts[number] + window_length] for number in chosen])
    return np.asarray(np.clip(windows, -32768, 32767), np.int16)


def _block_levels(samples: Samples, sample_rate: int) -> NDArray[np.float64]:
    """Return the level of each 30 ms, dBFS."""
    length = round(BLOCK_SECONDS * sample_rate)
    blocks = samples[: len(samples) // length * length].reshape(-1, length).astype(np.float64)
    return np.asarray(10.0 * np.log10(blocks.var(axis=1) / FULL_SCALE**2 + 1e-12))
