"""Privacy benchmark: intelligibility of speech reconstructed from the published spectrogram.

    python benchmarks/picture.py SPEECH...

SPEECH are recordings of speech. The attack reads the pixels, inverts the logarithm and the mel bands (pseudo-inverse),
interpolates between the columns, and estimates phases (Griffin and Lim, "Signal Estimation from Modified Short-Time
Fourier Transform", IEEE Trans. ASSP, 1984). The measure is STOI (Taal et al., "An Algorithm for Intelligibility
Prediction of Time-Frequency Weighted Noisy Speech", IEEE Trans. ASLP, 2011), 0 to 1: listeners understand nearly every
word from about 0.8 on, and few words at 0.5. Needs librosa, pillow and pystoi; only librosa is in the project's extras.
"""

import io
import sys
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pystoi import stoi

from device.audio.files import read_samples
from device.config.models import Detail
from device.model.bundle import load_bundle
from device.model.features import FeatureConfig, log_mel
from device.model.manifest_network import INCEPTION
from device.mqtt.spectrogram_image import spectrogram_encoder

ROOT = Path(__file__).resolve().parent.parent
DETAILS: tuple[Detail, ...] = ("sharp", "blurred")
WINDOWS = 8
"""Number of windows of each recording."""
SHIFTS = range(-512, 513, 64)
"""Shifts of the reconstruction that are tried, samples, because the start of a frame is unknown."""


def main(paths: list[str]) -> None:
    """Print mean and maximum STOI of each detail, and of two different windows for comparison."""
    features = load_bundle(ROOT / "models" / "urbansound8k").manifest.networks[INCEPTION].features
    assert isinstance(features, FeatureConfig)
    rng = np.random.default_rng(0)
    windows: list[NDArray[np.int16]] = []
    for path in paths:
        samples = read_samples(Path(path), features.sample_rate)
        for at in rng.integers(0, len(samples) - features.window_length, WINDOWS):
            windows.append(samples[at : at + features.window_length])
    for detail in DETAILS:
        draw = spectrogram_encoder(detail, features.hop_length_seconds)
        assert draw is not None
        scores = [best_stoi(window, reconstruct(draw(log_mel(window, features)), features)) for window in windows]
        print(f"{detail:<8} STOI {np.mean(scores):.2f}, at most {max(scores):.2f}")
    others = [best_stoi(window, windows[number - WINDOWS]) for number, window in enumerate(windows)]
    print(f"{'other':<8} STOI {np.mean(others):.2f}, at most {max(others):.2f}")


def reconstruct(picture: bytes, features: FeatureConfig) -> NDArray[np.float64]:
    """Reconstruct samples, shape (n,), float, from a picture of a log-mel."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)))[::3, ::3][::-1]
    level_db = (pixels / 255 - 1) * features.top_db
    starts = np.concatenate([[0], 1 + np.flatnonzero(np.any(np.diff(level_db, axis=1) != 0, axis=0))])
    ends = np.append(starts[1:], level_db.shape[1])
    middles, frames = (starts + ends - 1) / 2, np.arange(level_db.shape[1])
    smooth_db = np.stack([np.interp(frames, middles, row[starts]) for row in level_db])
    rate, n_fft = features.sample_rate, features.n_fft
    bands = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=features.mel_bands, fmin=features.fmin, fmax=features.fmax)
    power = np.maximum(np.linalg.pinv(bands) @ 10 ** (smooth_db / 10), 1e-10)
    return librosa.griffinlim(
        np.sqrt(power), hop_length=features.hop_length, win_length=features.win_length, n_fft=n_fft, random_state=0
    )


def best_stoi(original: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Return the highest STOI over all shifts."""
    original = original.astype(float)
    length = min(len(original), len(reconstruction))
    return max(
        float(
            stoi(
                original[max(0, shift) : length + min(0, shift)],
                reconstruction[max(0, -shift) : length - max(0, shift)],
                16000,
            )
        )
        for shift in SHIFTS
    )


if __name__ == "__main__":
    main(sys.argv[1:])
