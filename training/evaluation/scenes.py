"""Scenes: clips mixed into real ambience at known times, to evaluate gate, windows and events together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.types import UNKNOWN, Samples
from device.util.samples import to_float, to_int16
from training.data.dataset import Clip, Dataset
from training.data.windows import read_ambience


@dataclass(frozen=True)
class SceneConfig:
    """Ranges of a scene. Levels are RMS; a clip's level is that of its whole length."""

    clips_per_label: int = 10
    """Largest number of foreground clips of each label and fold; drawn with the seed."""
    above_db: tuple[float, float] = (10.0, 25.0)
    """Level of the clip above the ambience, drawn uniformly, dB."""
    ambience_dbfs: float = -45.0
    """Level of the ambience, dBFS: a quiet place, with headroom for the clips."""
    lead_seconds: float = 20.0
    """Ambience before the clip, seconds, in which the gate adapts to the place."""
    tail_seconds: float = 4.0
    """Ambience after the clip, seconds."""

    def __str__(self) -> str:
        """Return the configuration as a phrase, for reports."""
        low, high = self.above_db
        return (
            f"at most {self.clips_per_label} foreground clips of each label and fold, drawn with the seed, each alone "
            f"in ambience of its fold at {self.ambience_dbfs:g} dBFS, {low:g} to {high:g} dB above it (RMS)"
        )


@dataclass(frozen=True)
class Scene:
    """One clip in ambience.

    Attributes:
        samples: shape (n,), int16.
        label: label of the clip.
        start: its first sample.
        end: the sample after its last.
    """

    samples: Samples
    label: str
    start: int
    end: int


def make_scene(
    clip: Clip, ambience: Sequence[Samples], config: SceneConfig, rate: int, rng: np.random.Generator
) -> Scene:
    """Mix a clip into a random excerpt of one of the recordings.

    Args:
        clip: the clip.
        ambience: recordings at `rate`, int16, at least one.
        config: levels and durations.
        rate: Hz.
        rng: draws recording, excerpt and level.
    """
    sound = read_samples(clip.path, rate)
    start = round(config.lead_seconds * rate)
    background = random_excerpt(
        ambience[rng.integers(len(ambience))], start + len(sound) + round(config.tail_seconds * rate), rng
    )
    mixed = scale_to_level(background, config.ambience_dbfs)
    mixed[start : start + len(sound)] += scale_to_level(sound, config.ambience_dbfs + rng.uniform(*config.above_db))
    return Scene(to_int16(mixed), clip.label, start, start + len(sound))


def draw_clips(dataset: Dataset, fold: int, count: int, rng: np.random.Generator) -> list[Clip]:
    """Draw at most `count` clips of each label of a fold, without those marked as background."""
    by_label: dict[str, list[Clip]] = defaultdict(list)
    for clip in dataset.clips:
        if clip.fold == fold and clip.label != UNKNOWN and clip.foreground is not False:
            by_label[clip.label].append(clip)
    return [
        clips[number]
        for label, clips in sorted(by_label.items())
        for number in sorted(rng.permutation(len(clips))[:count])
    ]


def fold_negatives(dataset: Dataset, fold: int) -> tuple[tuple[int, Path], ...]:
    """Return fold and file of each negative of a fold."""
    return tuple((fold, clip.path) for clip in dataset.clips if clip.fold == fold and clip.label == UNKNOWN)


def read_fold_ambience(negatives: tuple[tuple[int, Path], ...], rate: int) -> list[Samples]:
    """Read the ambience of one fold: those of its negatives with at least 10 s, at `rate`, int16."""
    return [samples for recordings in read_ambience(negatives, rate).values() for samples in recordings]


def random_excerpt(recording: Samples, length: int, rng: np.random.Generator) -> Samples:
    """Return a random excerpt of a recording, shape (length,); a shorter recording is repeated."""
    start = rng.integers(max(1, len(recording) - length + 1))
    return np.resize(recording[start:] if len(recording) - start >= length else recording, length)


def scale_to_level(samples: Samples, dbfs: float) -> NDArray[np.float32]:
    """Scale samples to an RMS level, dBFS; shape (n,), float32, full scale 1. Silence stays silence."""
    signal = to_float(samples)
    rms = float(np.sqrt(np.mean(signal**2)))
    return signal * np.float32(10.0 ** (dbfs / 20.0) / rms if rms else 0.0)
