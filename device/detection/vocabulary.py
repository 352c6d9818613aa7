"""Vocabularies of the event tracker: the bundle's labels, taught labels, and AudioSet classes, each with its rule."""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.model.scoring import Scorer, independent_windows
from device.model.sound_names import sound_names
from device.model.taught import TAUGHT_THRESHOLD, TaughtSounds
from device.types import UNKNOWN, Probabilities, RefusalReason, SoundName, Window

EARLY_MARGIN, EARLY_MARGIN_ALONE = 1.5, 2.5
"""Log-odds by which an early look must exceed a label's threshold: with several networks, and with one, whose mistakes
no other network corrects. Chosen on streets and ambience of the test folds (docs/trials.md)."""


@dataclass(frozen=True)
class ScoredWindow:
    """Window with the results of the networks for it alone.

    Attributes:
        window: extent of the window.
        scores: shape (labels,), 0 to 1, without the prior odds of live sound.
        rise_db: highest rise above the noise floor in the window, dB.
        audioset: probabilities of AudioSet's classes, shape (527,), float32; None without the AudioSet network.
        embedding: the AudioSet network's last layer before the heads, float32; None without that network.
    """

    window: Window
    scores: Probabilities
    rise_db: float
    audioset: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Judgement:
    """Result of a vocabulary for the last windows together.

    Attributes:
        confidences: confidence of each name, 0 to 1.
        is_unknown: True if the sound is none of the names, at any confidence.
    """

    confidences: Mapping[SoundName, float]
    is_unknown: bool = False

    @property
    def scores(self) -> dict[str, float]:
        """Confidences by label, as event messages contain them."""
        return {name.label: confidence for name, confidence in self.confidences.items()}

    def detected(self, thresholds: Mapping[SoundName, float]) -> set[SoundName]:
        """Return the names that reach their thresholds."""
        if self.is_unknown:
            return set()
        return {name for name, confidence in self.confidences.items() if confidence >= thresholds[name]}


class Vocabulary(ABC):
    """Names of sounds that can become events, and the rule from windows to their confidences.

    Args:
        thresholds: confidence from which each name becomes an event, 0 to 1, as in config and bundle.
    """

    def __init__(self, thresholds: Mapping[SoundName, float]) -> None:
        self.thresholds = dict(thresholds)

    @abstractmethod
    def judge(self, windows: Collection[ScoredWindow]) -> Judgement:
        """Judge the last windows of a sound together, oldest first, at least one."""

    @abstractmethod
    def score(self, window: ScoredWindow, name: SoundName) -> float:
        """Return the score of a name in one window alone, 0 to 1."""

    @abstractmethod
    def refusals(
        self, judgement: Judgement, thresholds: Mapping[SoundName, float]
    ) -> Iterator[tuple[SoundName, RefusalReason]]:
        """Yield the names that are refused when no name of any vocabulary was detected, with the reason."""

    def early_threshold(self, threshold: float) -> float:
        """Return the confidence from which an early look starts an event; infinite where it starts none.

        Args:
            threshold: confidence from which full windows start it, 0 to 1.
        """
        del threshold
        return math.inf


class LabelVocabulary(Vocabulary):
    """Labels of the bundle. They compete with one another and with `unknown`, by the bundle's rules.

    Args:
        scorer: labels, and the bundle's rules for live scores and `unknown`.
        thresholds: see `Vocabulary`, by label.
        early_margin: log-odds by which an early look must exceed a threshold.
    """

    def __init__(
        self, scorer: Scorer, thresholds: Mapping[str, float], early_margin: float = EARLY_MARGIN_ALONE
    ) -> None:
        self._scorer = scorer
        self._early_odds = math.exp(early_margin)
        self._names = sound_names(scorer.labels)
        super().__init__({name: thresholds[name.label] for name in self._names})

    def judge(self, windows: Collection[ScoredWindow]) -> Judgement:
        """See `Vocabulary`. The confidences are live scores."""
        extents = [scored.window for scored in windows]
        first, last = extents[0], extents[-1]
        count = independent_windows(first.start, last.start, last.end - last.start, len(windows))
        scores = np.stack([scored.scores for scored in windows])
        live_scores = self._scorer.live_scores(scores, count, max(scored.rise_db for scored in windows))
        return Judgement(_rounded(self._names, live_scores), self._scorer.decide(live_scores) == UNKNOWN)

    def score(self, window: ScoredWindow, name: SoundName) -> float:
        """See `Vocabulary`."""
        return float(window.scores[self._names.index(name)])

    def refusals(
        self, judgement: Judgement, thresholds: Mapping[SoundName, float]
    ) -> Iterator[tuple[SoundName, RefusalReason]]:
        """Yield the likeliest label, because labels compete."""
        del thresholds
        likeliest = max(judgement.confidences, key=lambda name: judgement.confidences[name])
        yield likeliest, "unknown" if judgement.is_unknown else "below_threshold"

    def early_threshold(self, threshold: float) -> float:
        """See `Vocabulary`. It is higher by a margin in log-odds; 0 and 1 stay as they are."""
        odds = self._early_odds * threshold
        return odds / (1.0 - threshold + odds)


class TaughtVocabulary(Vocabulary):
    """Labels that the user taught. They compete with one another, and with no other name.

    Args:
        taught: detectors of the labels.
    """

    def __init__(self, taught: TaughtSounds) -> None:
        self._taught = taught
        self._names = sound_names((), taught=taught.labels)
        super().__init__(dict.fromkeys(self._names, TAUGHT_THRESHOLD))

    def judge(self, windows: Collection[ScoredWindow]) -> Judgement:
        """See `Vocabulary`. The confidence is the mean of the windows' probabilities."""
        return Judgement(self._confidences(windows))

    def score(self, window: ScoredWindow, name: SoundName) -> float:
        """See `Vocabulary`."""
        return self._confidences([window])[name]

    def refusals(
        self, judgement: Judgement, thresholds: Mapping[SoundName, float]
    ) -> Iterator[tuple[SoundName, RefusalReason]]:
        """Yield the labels with at least half of their thresholds."""
        return _near_thresholds(judgement, thresholds)

    def _confidences(self, windows: Collection[ScoredWindow]) -> dict[SoundName, float]:
        confidences = self._taught.probabilities([scored.embedding for scored in windows])
        return {name: confidences[name.label] for name in self._names}


class AudioSetVocabulary(Vocabulary):
    """AudioSet classes of the config. Each is independent of the others, of the labels and of `unknown`.

    The network has a sigmoid for each class, because AudioSet's clips have several. The confidence is therefore the
    mean of the windows' probabilities, not the normalized product that labels have: there are no probabilities that sum
    to 1, and no prior odds. The mean is also the rule of `classify_clip`, so thresholds that were judged on clips apply
    to live sound. One odd window neither reaches nor cancels a threshold alone.

    Args:
        thresholds: see `Vocabulary`.
        classes: display names of all of AudioSet's classes, in the order of the network's output.
    """

    def __init__(self, thresholds: Mapping[SoundName, float], classes: tuple[str, ...]) -> None:
        super().__init__(thresholds)
        self._numbers = {name: classes.index(name.label) for name in thresholds}

    def judge(self, windows: Collection[ScoredWindow]) -> Judgement:
        """See `Vocabulary`."""
        rows = [[self.score(scored, name) for name in self._numbers] for scored in windows]
        return Judgement(_rounded(self._numbers, np.mean(rows, axis=0)))

    def score(self, window: ScoredWindow, name: SoundName) -> float:
        """See `Vocabulary`."""
        assert window.audioset is not None  # the network that has the classes has their probabilities
        return float(window.audioset[self._numbers[name]])

    def refusals(
        self, judgement: Judgement, thresholds: Mapping[SoundName, float]
    ) -> Iterator[tuple[SoundName, RefusalReason]]:
        """Yield the classes with at least half of their thresholds."""
        return _near_thresholds(judgement, thresholds)


def _near_thresholds(
    judgement: Judgement, thresholds: Mapping[SoundName, float]
) -> Iterator[tuple[SoundName, RefusalReason]]:
    """Yield the names with at least half of their thresholds. Every sound is below most thresholds."""
    for name, confidence in judgement.confidences.items():
        if confidence >= thresholds[name] / 2:
            yield name, "below_threshold"


def _rounded(names: Iterable[SoundName], scores: NDArray[np.floating[Any]]) -> dict[SoundName, float]:
    return {name: round(float(score), 4) for name, score in zip(names, scores, strict=True)}
