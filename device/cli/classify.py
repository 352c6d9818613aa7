"""`earshot classify`: labels of sound files: of a short file, of each sound of a long one, or of each window."""

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device.audio.files import stream_samples
from device.audio.sound_file import shown
from device.cli.output import print_error, print_json
from device.config.loader import load_config
from device.config.models import Config
from device.config.paths import readable_state
from device.errors import EXIT_DONE, EarshotError
from device.model.bundle import Bundle
from device.model.clip_scoring import Classify, classify_clip
from device.model.ensemble import Ensemble
from device.model.scoring import Scorer, likeliest_classes
from device.model.taught import TAUGHT_THRESHOLD, TaughtSounds
from device.recordings import Segment, SoundClassifier, classify_windows
from device.service.runtime import load_taught, open_bundle
from device.types import UNKNOWN, Samples, WindowScores

CLIP_SECONDS = 10.0
"""Longest file that is one clip, s, with one answer. A longer one is a recording, with an answer for each sound."""
_CLASSES = 5
"""Number of AudioSet classes in the output."""


def run(arguments: argparse.Namespace) -> int:
    """Classify each file, and print its lines; return the exit code of the last error."""
    config = load_config(arguments.config, overrides=arguments.set)
    bundle, ensemble = open_bundle(arguments.bundle or config.model.bundle, config.model.threads)
    classifier = _FileClassifier(config, bundle, ensemble, load_taught(readable_state(), bundle, ensemble))
    code = EXIT_DONE
    for file in arguments.files:
        answer = None
        try:
            for answer in classifier.answers(file, by_window=arguments.windows):
                if arguments.json:
                    print_json({"file": str(file), **answer.as_json()})
                else:
                    print(f"{file}: {answer}", flush=True)
            if answer is None:
                print(f"earshot: {shown(file)}: no sound in it opens the gate. Try --windows", file=sys.stderr)
        except EarshotError as error:
            print_error(error)
            code = error.exit_code
    return code


@dataclass(frozen=True)
class _Answer:
    """Answer for a file, or for a part of it.

    Attributes:
        label: the decision; it may be a taught label, or `unknown`.
        scores: score of each label of the bundle, 0 to 1.
        taught: probability of each taught label, 0 to 1.
        classes: likeliest AudioSet classes; None without the AudioSet network.
        part: start and end of the part, s; None for a whole file.
    """

    label: str
    scores: dict[str, float]
    taught: dict[str, float]
    classes: dict[str, float] | None
    part: tuple[float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        start_end = zip(("start_seconds", "end_seconds"), self.part or (), strict=False)
        confidence = self.taught.get(self.label, max(self.scores.values()))
        content = {"label": self.label, "confidence": confidence, "scores": self.scores, "taught": self.taught}
        classes = {} if self.classes is None else {"audioset": self.classes}
        return {**{key: round(seconds, 3) for key, seconds in start_end}, **content, **classes}

    def __str__(self) -> str:
        best = sorted((self.scores | self.taught).items(), key=lambda item: -item[1])[:3]
        text = f"{self.label} ({', '.join(f'{name} {p:.0%}' for name, p in best)})"
        return text if self.part is None else f"{_clock(self.part[0])} to {_clock(self.part[1])}: {text}"


class _FileClassifier:
    """Classifier of files, by their length.

    Args:
        config: gate of long files.
        bundle: labels and classes.
        ensemble: its networks.
        taught: detectors of taught sounds.
    """

    def __init__(self, config: Config, bundle: Bundle, ensemble: Ensemble, taught: TaughtSounds) -> None:
        self._config, self._bundle, self._ensemble, self._taught = config, bundle, ensemble, taught
        self._scorer = Scorer(bundle.manifest)

    def answers(self, path: Path, *, by_window: bool) -> Iterator[_Answer]:
        """Yield the answers for a file: one for a short file, else one for each sound or window.

        Raises:
            InputError: the file is unreadable.
        """
        rate, length, classify = self._bundle.sample_rate, self._bundle.window_length, self._ensemble.classify_clip
        parts = stream_samples(path, rate)
        beginning = _read(parts, round(CLIP_SECONDS * rate) + 1)
        samples = itertools.chain(beginning, parts)
        if by_window:
            segments = classify_windows(samples, length, classify)
        elif sum(map(len, beginning)) <= CLIP_SECONDS * rate:
            yield self._answer(_clip_segment(np.concatenate(beginning), length, classify), None)
            return
        else:
            segments = SoundClassifier(self._config, self._bundle, classify).sounds(samples)
        for each in segments:
            yield self._answer(each, (each.start / rate, each.end / rate))

    def _answer(self, segment: Segment, part: tuple[float, float] | None) -> _Answer:
        names = self._bundle.audioset_classes
        scores = {name: round(float(p), 4) for name, p in zip(self._bundle.labels, segment.scores, strict=True)}
        taught = self._taught.probabilities(segment.embeddings, segment.weights) if self._taught.labels else {}
        classes = None if segment.audioset is None else dict(likeliest_classes(names, segment.audioset, _CLASSES))
        return _Answer(self._decide(segment, taught), scores, taught, classes, part)

    def _decide(self, segment: Segment, taught: dict[str, float]) -> str:
        """Return the taught label that reaches its threshold, else the bundle's decision; not an excluded one."""
        likeliest = max(taught, key=lambda label: taught[label], default="")
        candidates = [likeliest] if likeliest and taught[likeliest] >= TAUGHT_THRESHOLD else []
        candidates.append(self._scorer.decide(segment.scores))
        excluded = self._taught.excluded(candidates, segment.embeddings, segment.weights)
        return next((label for label in candidates if label not in excluded), UNKNOWN)


def _clip_segment(samples: Samples, window_length: int, classify: Classify) -> Segment:
    """Classify a whole clip; see `classify_clip`."""
    results = list[WindowScores]()

    def record(window: Samples) -> WindowScores:
        results.append(classify(window))
        return results[-1]

    scores, audioset = classify_clip(samples, window_length, record)
    embeddings = tuple(result.embedding for result in results)
    return Segment(0, len(samples), scores, audioset, None, embeddings, (1.0,) * len(results))


def _read(parts: Iterator[Samples], count: int) -> list[Samples]:
    """Return the first parts, until they have `count` samples or all are read."""
    beginning: list[Samples] = []
    while sum(map(len, beginning)) < count and (part := next(parts, None)) is not None:
        beginning.append(part)
    return beginning


def _clock(seconds: float) -> str:
    """Format a time in a recording as hours:minutes:seconds."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"
