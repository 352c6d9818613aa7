"""Mix of street.flac, the demo's recording, from the recordings in CREDITS.md.

    python deploy/demo/make_recording.py --sounds DIR

DIR contains the recordings, one folder a class, 32 kHz mono. The demo does not need this script, because the mix is in
the repository. The script documents all changes to the recordings, and repeats them.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 32000
BED = "ambient/blanket_summer-night.wav"
SECONDS = 60
CROSSFADE_SECONDS = 2
BED_DBFS = -48.0
SOUNDS = [  # seconds into the recording, file, RMS level in dBFS
    (5.0, "dog_bark/cdogs_sequence.wav", -22.0),
    (17.0, "car_horn/sumo_3.wav", -24.0),
    (29.0, "gun_shot/openclonk_GunShoot4.wav", -20.0),
    (40.0, "jackhammer/opensfx_33.wav", -22.0),
    (42.5, "jackhammer/opensfx_33.wav", -22.0),
    (53.0, "car_horn/sumo_1.wav", -24.0),
]


def at_level(signal: np.ndarray, dbfs: float) -> np.ndarray:
    """Scale a signal, shape (n,), full scale 1, to an RMS level, dBFS."""
    return signal * (10 ** (dbfs / 20) / np.sqrt(np.mean(signal**2)))


def read(path: Path) -> np.ndarray:
    """Read a mono file, shape (n,), float64, full scale 1."""
    signal, sample_rate = soundfile.read(path)
    if sample_rate != SAMPLE_RATE or signal.ndim != 1:
        raise SystemExit(f"{path}: must be mono at {SAMPLE_RATE} Hz")
    return signal


def repeated(signal: np.ndarray, length: int) -> np.ndarray:
    """Repeat a signal, shape (n,), once, with a crossfade; cut the result to a length in samples."""
    overlap = CROSSFADE_SECONDS * SAMPLE_RATE
    ramp = np.linspace(0.0, 1.0, overlap)
    crossfade = signal[-overlap:] * (1 - ramp) + signal[:overlap] * ramp
    return np.concatenate([signal[:-overlap], crossfade, signal[overlap:]])[:length]


def main() -> None:
    """Mix the recordings, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sounds", type=Path, required=True, metavar="DIR")
    sounds = parser.parse_args().sounds
    mix = at_level(repeated(read(sounds / BED), SECONDS * SAMPLE_RATE), BED_DBFS)
    for seconds, name, dbfs in SOUNDS:
        sound = at_level(read(sounds / name), dbfs)
        fade = np.minimum(1.0, np.arange(len(sound))[::-1] / (0.05 * SAMPLE_RATE))  # avoids a click at the end
        start = round(seconds * SAMPLE_RATE)
        mix[start : start + len(sound)] += sound * fade
    peak = np.abs(mix).max()
    if peak > 1:
        mix /= peak
    soundfile.write(Path(__file__).with_name("street.flac"), mix, SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
