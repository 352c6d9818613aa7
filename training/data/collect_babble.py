"""Babble: talk of one to twenty adults in rooms, mixed from telephone prompts of Debian's packages, for `--also`.

    python -m training.data.collect_babble --output babble/

Cafés and living rooms are full of adult talk, which UrbanSound8K lacks: a network without such negatives takes it for
children playing. Needs Debian (apt-get, dpkg-deb) and ffmpeg, which decodes G.722.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

from training.data.collect_debian import download_package
from training.data.progress import progress

PACKAGES = tuple(f"asterisk-core-sounds-{language}-g722" for language in ("en", "es", "fr", "it", "ru"))
"""One speaker each; free licences (CC BY-SA 3.0, see the packages)."""
SAMPLE_RATE = 16000
CLIP_SECONDS = 5.0
CLIPS = 300
TALKERS = (1, 1, 2, 3, 5, 8, 12, 20)
"""Numbers of simultaneous talkers, drawn uniformly."""
_MIN_PROMPT_SECONDS = 1.0
_PEAK = 0.5
_REVERBERATION_SECONDS = (0.15, 1.5)
"""Range of the time in which reverberation falls by 60 dB: from a furnished room to a hall."""
_NOISE_DB = (-40.0, -12.0)
"""Range of the level of room noise, relative to the talk."""
_RESAMPLING = (17, 18, 19, 20, 21, 22, 23)
"""Twentieths of the sample rate. Pitch and speed change together, so that one speaker becomes several."""

Wave = NDArray[np.float32]


def main() -> int:
    """Download the prompts, mix the clips, and write them as FLAC."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder, created if needed")
    output: Path = parser.parse_args().output
    speakers = [prompts for package in PACKAGES if (prompts := _prompts(package))]
    if not speakers:
        print("no prompts: apt-get or ffmpeg failed. Run on Debian with ffmpeg installed", file=sys.stderr)
        return 69
    output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in progress(range(CLIPS), CLIPS, "clips of babble"):
        soundfile.write(output / f"babble-{number:03d}.flac", babble(speakers, rng), SAMPLE_RATE)
    return 0


def babble(speakers: Sequence[Sequence[Wave]], rng: np.random.Generator) -> Wave:
    """Mix a clip of talk in a room.

    Args:
        speakers: prompts of each speaker, each of shape (n,), float32, -1 to 1, at `SAMPLE_RATE`.
        rng: random numbers.

    Returns:
        Shape (CLIP_SECONDS * SAMPLE_RATE,), float32, with a peak of 0.5.
    """
    length = int(CLIP_SECONDS * SAMPLE_RATE)
    seconds = float(np.exp(rng.uniform(*np.log(_REVERBERATION_SECONDS))))
    talk = np.zeros(length, np.float32)
    for _ in range(int(rng.choice(TALKERS))):
        voice = _voice(speakers[int(rng.integers(len(speakers)))], length, rng)
        gain = 10.0 ** (rng.uniform(-12.0, 0.0) / 20.0)
        talk += gain * scipy.signal.fftconvolve(voice, _room(seconds, rng))[:length].astype(np.float32)
    noise = np.cumsum(rng.standard_normal(length)) if rng.random() < 0.5 else rng.standard_normal(length)
    noise = scipy.signal.sosfilt(scipy.signal.butter(2, 60.0, "highpass", fs=SAMPLE_RATE, output="sos"), noise)
    noise *= 10.0 ** (rng.uniform(*_NOISE_DB) / 20.0) * _rms(talk) / _rms(noise)
    mixed = talk + noise
    return np.asarray(mixed * (_PEAK / max(float(np.abs(mixed).max()), 1e-6)), np.float32)


def _voice(prompts: Sequence[Wave], length: int, rng: np.random.Generator) -> Wave:
    """Return consecutive prompts of one speaker with pauses, at an equal level, changed in pitch and speed."""
    parts: list[Wave] = []
    twentieths = int(rng.choice(_RESAMPLING))
    while sum(map(len, parts)) < 2 * length:
        prompt = prompts[int(rng.integers(len(prompts)))]
        parts += [prompt / _rms(prompt), np.zeros(int(rng.uniform(0.0, 0.6) * SAMPLE_RATE), np.float32)]
    voice = scipy.signal.resample_poly(np.concatenate(parts), 20, twentieths)
    start = int(rng.integers(len(voice) - length))
    return np.asarray(voice[start : start + length], np.float32)


def _room(seconds: float, rng: np.random.Generator) -> Wave:
    """Return the impulse response of a room: a direct path, then noise that decays exponentially.

    Args:
        seconds: time of a decay by 60 dB.
        rng: random numbers; they also draw the ratio of direct to reverberant energy, -6 to 12 dB.
    """
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10.0 ** (-3.0 * time / seconds)
    tail *= 10.0 ** (-rng.uniform(-6.0, 12.0) / 20.0) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    return np.asarray(tail, np.float32)


def _prompts(package: str) -> list[Wave]:
    """Download a package and return its prompts."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        deb = download_package(package, scratch)
        if deb is None:
            return []
        subprocess.run(["dpkg-deb", "-x", deb.name, "."], cwd=scratch, check=True)
        with ThreadPoolExecutor() as pool:
            waves = list(pool.map(_decode, sorted(scratch.rglob("*.g722"))))
    return [wave for wave in waves if len(wave) >= _MIN_PROMPT_SECONDS * SAMPLE_RATE and np.abs(wave).max() > 0.01]


def _decode(path: Path) -> Wave:
    """Return a file of G.722, which libsndfile cannot read, as samples."""
    command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "f32le", "-ar", str(SAMPLE_RATE), "-"]
    raw = subprocess.run(command, capture_output=True, check=False).stdout
    return np.frombuffer(raw, "<f4")


def _rms(wave: NDArray[np.floating[Any]]) -> float:
    return max(float(np.sqrt(np.square(wave, dtype=np.float64).mean())), 1e-9)


if __name__ == "__main__":
    sys.exit(main())
