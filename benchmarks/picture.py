"""What can be heard again of speech, from the spectrogram that is published: python benchmarks/picture.py SPEECH...

SPEECH are recordings of somebody who speaks. The attack: read the pixels, undo the logarithm and the mel bands
(pseudo-inverse), smooth between the columns, and find phases by Griffin and Lim ("Signal Estimation from Modified
Short-Time Fourier Transform", IEEE Trans. ASSP, 1984). The judge: STOI (Taal et al., "An Algorithm for
Intelligibility Prediction of Time-Frequency Weighted Noisy Speech", IEEE Trans. ASLP, 2011), 0 to 1; listeners
understand nearly every word from some 0.8 on, few at 0.5. Needs librosa, pillow and pystoi, of which only librosa is
among the project's extras.
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
"""Of each recording."""
SHIFTS = range(-512, 513, 64)
"""Samples: the attack does not know where a frame begins."""


def main(paths: list[str]) -> None:
    """Print the mean STOI of each detail, and of a recording against another for comparison."""
    features = load_bundle(ROOT / "models" / "urbansound8k").manifest.networks[INCEPTION].features
    assert isinstance(features, FeatureConfig)
    random = np.random.default_rng(0)
    windows: list[NDArray[np.int16]] = []
    for path in paths:
        samples = read_samples(Path(path), features.sample_rate)
        for at in random.integers(0, len(samples) - features.window_length, WINDOWS):
            windows.append(samples[at : at + features.window_length])
    for detail in DETAILS:
        draw = spectrogram_encoder(detail, features.hop_length_seconds)
        assert draw is not None
        scores = [likeness(window, heard_again(draw(log_mel(window, features)), features)) for window in windows]
        print(f"{detail:<8} STOI {np.mean(scores):.2f}, at most {max(scores):.2f}")
    others = [likeness(window, windows[number - WINDOWS]) for number, window in enumerate(windows)]
    print(f"{'other':<8} STOI {np.mean(others):.2f}, at most {max(others):.2f}")


def heard_again(picture: bytes, features: FeatureConfig) -> NDArray[np.float64]:
    """Samples that sound like what a picture shows."""
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


def likeness(heard: NDArray[Any], made: NDArray[Any]) -> float:
    """STOI at the shift that suits it best."""
    heard = heard.astype(float)
    length = min(len(heard), len(made))
    return max(
        float(stoi(heard[max(0, shift) : length + min(0, shift)], made[max(0, -shift) : length - max(0, shift)], 16000))
        for shift in SHIFTS
    )


if __name__ == "__main__":
    main(sys.argv[1:])
