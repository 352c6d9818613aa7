"""Scores to events: thresholds, unknown, start and end, cool-down."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from uuid6 import uuid7

from device.config import EventsConfig
from device.types import UNKNOWN, Event, Probabilities, Span, Window


@dataclass
class _Sound:
    """The event that is going on, and what its end will need."""

    event: Event
    start: int
    heard_until: int

    def hear(self, until: int, scores: dict[str, float], level_dbfs: float) -> None:
        """Go on: keep the scores at which it was surest, and its highest level."""
        self.heard_until = until
        if scores[self.event.label] > self.event.confidence:
            self.event = dataclasses.replace(self.event, confidence=scores[self.event.label], scores=scores)
        self.event = dataclasses.replace(self.event, level_dbfs=max(self.event.level_dbfs, level_dbfs))


class EventTracker:
    """Turns the scores of the windows of one sounding after another into start and end messages.

    Scores of windows that follow one another are averaged before they are judged, so that one odd window
    neither starts nor splits an event.

    Args:
        config: thresholds and times.
        labels: of the bundle, in the order of the scores.
        bundle_thresholds: the bundle's own threshold for each label.
        decide: the bundle's rule: scores, shape (labels,) -> a label or `unknown`.
        sample_rate: Hz, of positions.
        hop_length: samples from one window to the next.
    """

    def __init__(
        self,
        config: EventsConfig,
        *,
        labels: tuple[str, ...],
        bundle_thresholds: Mapping[str, float],
        decide: Callable[[Probabilities], str],
        sample_rate: int,
        hop_length: int,
    ) -> None:
        self._labels = labels
        self._thresholds = {
            label: _first(config.thresholds.get(label), config.threshold, bundle_thresholds[label]) for label in labels
        }
        self._decide = decide
        self._hop_length = hop_length
        self._cooldown = round(config.cooldown_seconds * sample_rate)
        self._recent: deque[Probabilities] = deque(maxlen=config.smoothing_windows)
        self._sound: _Sound | None = None
        self._ended_at: dict[str, int] = {}

    def update(
        self, window: Window, scores: Probabilities, level_dbfs: float, time_of: Callable[[int], float]
    ) -> Iterator[Event]:
        """Take the scores of the next window; yield the messages that they cause.

        Args:
            window: where it lies.
            scores: shape (labels,), 0 to 1.
            level_dbfs: of the window's loudest 30 ms.
            time_of: sample position -> Unix seconds.
        """
        first_of_sounding = not self._recent
        self._recent.append(scores)
        combined = np.mean(self._recent, axis=0, dtype=np.float32)
        label = self._judge(combined)
        going_on = self._sound
        if going_on is not None and label == going_on.event.label:
            going_on.hear(window.end, self._named(combined), level_dbfs)
            return
        if going_on is not None and (label is not None or window.start >= going_on.heard_until):
            yield self._end(going_on, going_on.heard_until, time_of)
        if label is None:
            return
        # A later window was laid because the sound went on: what it is the first to name lies in its last hop.
        onset = window.sound.start if first_of_sounding else max(window.sound.start, window.end - self._hop_length)
        if label in self._ended_at and onset < self._ended_at[label] + self._cooldown:
            return
        named = self._named(combined)
        event = Event(
            type="start",
            event_id=str(uuid7()),
            label=label,
            confidence=named[label],
            scores=named,
            start_time=time_of(onset),
            end_time=None,
            level_dbfs=level_dbfs,
            gate=window.sound.reason,
        )
        self._sound = _Sound(event, onset, window.end)
        yield event

    def close(self, sound: Span, time_of: Callable[[int], float]) -> Iterator[Event]:
        """End what is going on: the sounding is over."""
        self._recent.clear()
        if self._sound is not None:
            yield self._end(self._sound, min(self._sound.heard_until, sound.end), time_of)

    def _judge(self, combined: Probabilities) -> str | None:
        label = self._decide(combined)
        if label == UNKNOWN or combined[self._labels.index(label)] < self._thresholds[label]:
            return None
        return label

    def _named(self, scores: Probabilities) -> dict[str, float]:
        return {label: round(float(score), 4) for label, score in zip(self._labels, scores, strict=True)}

    def _end(self, sound: _Sound, end: int, time_of: Callable[[int], float]) -> Event:
        self._sound = None
        end = max(end, sound.start)
        self._ended_at[sound.event.label] = end
        return dataclasses.replace(sound.event, type="end", end_time=time_of(end))


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
