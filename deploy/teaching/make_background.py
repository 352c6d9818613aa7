"""Generator of device/teaching/background.npz, the negatives of taught labels, from the recordings in CREDITS.md.

    python deploy/teaching/make_background.py --sounds DIR --bundle models/urbansound8k

DIR contains the recordings, one folder a group: a label of the bundle, `ambient` or `speech`. Each recording is cut
into windows; of each window with sound there are further ones: over pink noise, and over another recording of
`ambient`. The file contains their embeddings alone: no sound, and nothing from which one can be made.
"""

import argparse
from pathlib import Path

import numpy as np

from device.audio.files import read_samples, sound_files
from device.model.clip_scoring import clip_windows
from device.service.runtime import open_bundle
from device.teaching.clip_windows import colored_noise
from device.teaching.embedder import Embedder
from device.teaching.negatives import BACKGROUND, Negatives, join, noise_negatives

AMBIENCE = ("ambient", "speech")
"""Groups whose recordings count for false alarms."""
DECIBEL = (5.0, 20.0)
"""Level of a window above its background, dB."""


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=Path("models/urbansound8k"))
    options = parser.parse_args()
    bundle, ensemble = open_bundle(options.bundle)
    embedder = Embedder(bundle, ensemble.networks[bundle.manifest.scoring.order[0]])
    random, length = np.random.default_rng(3), bundle.window_length
    folders = sorted(path for path in options.sounds.iterdir() if path.name in (*bundle.labels, *AMBIENCE))
    paths = [path for folder in folders for path in sound_files(folder)]
    sounds = {path: read_samples(path, bundle.sample_rate) for path in paths}
    places = [path for path in paths if path.parent.name == AMBIENCE[0]]
    rows: list[tuple[np.ndarray, int, bool]] = []
    for number, (path, samples) in enumerate(sounds.items()):
        for window in clip_windows(samples, length):
            rows.append((window, number, path.parent.name in AMBIENCE))
            if not window.any():
                continue
            place = sounds[random.choice([each for each in places if each != path])]
            place = np.resize(place, max(len(place), length))
            start = random.integers(len(place) - length + 1)
            for background in (colored_noise(length, 1.0, random), place[start : start + length]):
                rows.append((over(window, background, random.uniform(*DECIBEL)), number, False))
    windows, recording, is_ambience = map(np.array, zip(*rows, strict=True))
    names = tuple(f"{path.parent.name}/{path.stem}" for path in paths)
    sounding = Negatives(embedder.embed(windows), recording, names, is_ambience)
    negatives = join([sounding, noise_negatives(embedder, random)])
    np.savez_compressed(
        BACKGROUND,
        embeddings=negatives.embeddings,
        recording=negatives.recording.astype(np.int16),
        names=np.array(negatives.names),
        is_ambience=negatives.is_ambience,
        probe=embedder.probe,
    )
    minutes = sum(is_ambience) * length / 2 / bundle.sample_rate / 60
    count = len(negatives.embeddings)
    print(f"{BACKGROUND}: {count} windows of {len(negatives.names)} recordings, {minutes:.1f} minutes of them ambience")


def over(window: np.ndarray, background: np.ndarray, decibel: float) -> np.ndarray:
    """Return a window over a background that is quieter by some dB, int16."""
    background = background / max(float(background.std()), 1e-6)
    mixed = window + background * window.std(dtype=np.float64) * 10.0 ** (-decibel / 20.0)
    return np.clip(mixed, -32768, 32767).astype(np.int16)


if __name__ == "__main__":
    main()
