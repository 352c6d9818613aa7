"""State of an event that is going on, and the judgements of a window, for the event tracker."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from device.detection.vocabulary import Judgement, Vocabulary
from device.types import Event, SoundName, Window


def raised(event: Event, confidence: float, scores: dict[str, float], level_dbfs: float) -> Event:
    """Return an event with the highest confidence so far, the scores at that moment, and the highest level."""
    if confidence > event.confidence:
        event = dataclasses.replace(event, confidence=confidence, scores=scores)
    return dataclasses.replace(event, level_dbfs=max(event.level_dbfs, level_dbfs))


@dataclass
class ActiveEvent:
    """Event that has started and not yet ended.

    Attributes:
        event: its start message, with the highest confidence so far, the scores at that moment, and the highest level.
        start: position of its onset.
        detected_until: end of the last window in which its label was detected.
        next_window_start: start of the window after that one. The event ends there, unless that window detects the
            label again.
        is_provisional: whether the event ends at `detected_until` unless the next full window detects its label: the
            sound has paused for longer than a window, or an early look started the event.
    """

    event: Event
    start: int
    detected_until: int
    next_window_start: int
    is_provisional: bool = False

    def extend(self, window: Window, confidence: float, scores: dict[str, float], level_dbfs: float) -> None:
        """Continue the event through another window in which its label was detected."""
        self.detected_until, self.next_window_start = window.end, window.start + window.hop_length
        self.is_provisional = False
        self.event = raised(self.event, confidence, scores, level_dbfs)

    def pause(self, sound_end: int) -> None:
        """Note a pause after `sound_end`, where the event ends unless the next window detects its label."""
        self.detected_until, self.is_provisional = min(self.detected_until, sound_end), True


@dataclass(frozen=True)
class Moment:
    """Judgements of all vocabularies at one window.

    Attributes:
        window: extent of the window.
        level_dbfs: RMS level of the window's loudest 30 ms, dB relative to full scale.
        time_of: sample position -> Unix seconds.
        judgements: judgement of each vocabulary.
        detected: names that reach their thresholds.
    """

    window: Window
    level_dbfs: float
    time_of: Callable[[int], float]
    judgements: Mapping[Vocabulary, Judgement]
    detected: set[SoundName]

    def confidence(self, name: SoundName) -> float:
        """Return the confidence of a name, 0 to 1."""
        return self._judgement(name).confidences[name]

    def scores(self, name: SoundName) -> dict[str, float]:
        """Return the confidences of all names of a name's vocabulary, by label."""
        return self._judgement(name).scores

    def _judgement(self, name: SoundName) -> Judgement:
        return next(judgement for judgement in self.judgements.values() if name in judgement.confidences)
