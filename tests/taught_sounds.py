"""Synthesised sounds for the tests of teaching: three kinds that the AudioSet network tells apart."""

import numpy as np
import soundfile

RATE = 16000


def beeps(seed):
    """Return a row of short high beeps, as of a timer, at another pitch and speed for each seed."""
    random = np.random.default_rng(seed)
    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * random.uniform(1900, 2100) * time) * ((time % random.uniform(0.24, 0.26)) < 0.1)
    return to_int16(0.4 * tone + 0.001 * random.normal(size=len(time)))


def clicks(seed):
    """Return a row of clicks over faint noise."""
    random = np.random.default_rng(seed)
    sound = 0.001 * random.normal(size=2 * RATE)
    for start in np.arange(0.1, 1.9, random.uniform(0.2, 0.3)):
        at = int(start * RATE)
        sound[at : at + 160] += random.normal(size=160) * np.exp(-np.arange(160) / 30)
    return to_int16(0.5 * sound)


def to_int16(signal):
    return np.clip(signal * 32767, -32768, 32767).astype(np.int16)


def write_clips(folder, sound, count, first=0):
    """Write clips of a kind of sound; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{sound.__name__}{seed}.wav" for seed in range(first, first + count)]
    for seed, path in enumerate(paths, first):
        soundfile.write(path, sound(seed), RATE)
    return paths
