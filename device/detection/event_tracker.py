"""Scores to events: thresholds, unknown, start and end, cool-down."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from uuid6 import uuid7

from device.config.models import EventsConfig
from device.config.quiet_hours import QuietHours
from device.model.scoring import Scorer, independent_windows
from device.types import UNKNOWN, Event, Probabilities, Refusal, RefusalReason, Span, Window


@dataclass
class _Sound:
    """An event that is going on, and what its end will need.

    Attributes:
        event: its start message, with the scores at which it was surest and its highest level so far.
        start: position of its onset.
        named_until: end of the last window that named it.
        faded_at: what that window has before the next one: where the sound ends if the next does not name it.
    """

    event: Event
    start: int
    named_until: int
    faded_at: int

    def hear(self, window: Window, scores: dict[str, float], level_dbfs: float) -> None:
        """Go on through another window that names it."""
        self.named_until, self.faded_at = window.end, window.start + window.hop_length
        event = self.event
        if scores[event.label] > event.confidence:
            event = dataclasses.replace(event, confidence=scores[event.label], scores=scores)
        self.event = dataclasses.replace(event, level_dbfs=max(event.level_dbfs, level_dbfs))


class EventTracker:
    """Turns the scores of the windows of one sounding after another into start and end messages.

    Windows that follow one another are judged together, so that one odd window splits no event, and a sound that lasts
    needs no window that is sure of it.

    Args:
        config: thresholds and times.
        bundle_thresholds: the bundle's own threshold for each label.
        scorer: labels, and the bundle's rules for live scores and `unknown`.
        sample_rate: Hz, of positions.
        on_refusal: called for each label that becomes no event.
    """

    def __init__(
        self,
        config: EventsConfig,
        *,
        bundle_thresholds: Mapping[str, float],
        scorer: Scorer,
        sample_rate: int,
        on_refusal: Callable[[Refusal], None] = lambda _refusal: None,
    ) -> None:
        self._scorer = scorer
        self._labels = scorer.labels
        self._thresholds = {
            label: _first(config.thresholds.get(label), config.threshold, bundle_thresholds[label])
            for label in scorer.labels
        }
        self._on_refusal = on_refusal
        self._cooldown = round(config.cooldown_seconds * sample_rate)
        self._recent: deque[tuple[Window, Probabilities, float]] = deque(maxlen=config.smoothing_windows)
        self._quiet_hours = QuietHours(config.quiet_hours)
        self._maximum = round(config.maximum_seconds * sample_rate)
        self._sounds: dict[str, _Sound] = {}
        self._exhausted: set[str] = set()
        self._ended_at: dict[str, int] = {}

    def update(
        self,
        window: Window,
        scores: Probabilities,
        rise_db: float,
        level_dbfs: float,
        time_of: Callable[[int], float],
    ) -> Iterator[Event]:
        """Take the scores of the next window; yield the messages that they cause.

        Args:
            window: where it lies.
            scores: shape (labels,), 0 to 1, of this window as if it were a clip.
            rise_db: highest rise above the noise floor in the window.
            level_dbfs: of the window's loudest 30 ms.
            time_of: sample position -> Unix seconds.
        """
        self._recent.append((window, scores, rise_db))
        combined = self._live_scores()
        named = self._named(combined)
        is_unknown = self._scorer.decide(combined) == UNKNOWN
        labels = set() if is_unknown else {label for label in named if named[label] >= self._thresholds[label]}

        def refuse(label: str, reason: RefusalReason) -> None:
            self._on_refusal(Refusal(reason, label, named[label], self._thresholds[label], time_of(window.end)))

        if not labels:
            refuse(max(named, key=lambda label: named[label]), "unknown" if is_unknown else "below_threshold")
        for sound in list(self._sounds.values()):
            if sound.event.label in labels:
                sound.hear(window, named, level_dbfs)
                if window.end - sound.start >= self._maximum:
                    self._exhausted.add(sound.event.label)
                    yield self._end(sound, window.end, time_of)
            elif window.start >= sound.faded_at:
                yield self._end(sound, max(sound.faded_at, sound.start + window.hop_length), time_of)
        for label in sorted(labels - self._sounds.keys()):
            onset = self._onset(label)
            if reason := self._objection(label, onset, time_of(onset)):
                refuse(label, reason)
                continue
            event = Event(
                type="start",
                event_id=str(uuid7()),
                label=label,
                confidence=named[label],
                scores=named,
                start_time=time_of(onset),
                end_time=None,
                level_dbfs=level_dbfs,
                gate=window.span.reason,
            )
            self._sounds[label] = _Sound(event, onset, window.end, window.start + window.hop_length)
            yield event

    @property
    def thresholds(self) -> dict[str, float]:
        """Confidence from which each label becomes an event; a copy."""
        return dict(self._thresholds)

    def set_threshold(self, label: str, threshold: float) -> None:
        """Change the confidence from which a label becomes an event, from the next window on; any thread."""
        self._thresholds[label] = threshold

    @property
    def going_on(self) -> bool:
        """Whether what sounds has a name."""
        return bool(self._sounds)

    def close(self, sound: Span, time_of: Callable[[int], float]) -> Iterator[Event]:
        """End what is going on: the sounding is over."""
        self._recent.clear()
        self._exhausted.clear()
        for each in list(self._sounds.values()):
            yield self._end(each, min(each.named_until, sound.end), time_of)

    def _live_scores(self) -> Probabilities:
        """Pool the scores of the last windows, shape (labels,)."""
        windows, scores, rises_db = zip(*self._recent, strict=True)
        first, last = windows[0], windows[-1]
        count = independent_windows(first.start, last.start, last.end - last.start, len(windows))
        return self._scorer.live_scores(np.stack(scores), count, max(rises_db))

    def _objection(self, label: str, onset: int, time: float) -> RefusalReason | None:
        """Why a label that is sounding starts no event, if anything speaks against it."""
        if label in self._exhausted:
            return "maximum_duration"
        if label in self._ended_at and onset < self._ended_at[label] + self._cooldown:
            return "cooling_down"
        if self._quiet_hours.hold(time):
            return "quiet_hours"
        return None

    def _onset(self, label: str) -> int:
        """Where a label that is over its threshold began, from the windows that made it so."""
        number = self._labels.index(label)
        heard = [window for window, scores, _ in self._recent if scores[number] >= self._thresholds[label] / 2]
        first = heard[0] if heard else self._recent[-1][0]
        if first.start < first.span.start:
            return first.span.start  # the sounding's first window: the gate heard the onset
        return first.end - first.hop_length  # laid because the sound went on: what is new lies in its last hop

    def _named(self, scores: Probabilities) -> dict[str, float]:
        return {label: round(float(score), 4) for label, score in zip(self._labels, scores, strict=True)}

    def _end(self, sound: _Sound, end: int, time_of: Callable[[int], float]) -> Event:
        del self._sounds[sound.event.label]
        end = max(end, sound.start)
        self._ended_at[sound.event.label] = end
        return dataclasses.replace(sound.event, type="end", end_time=time_of(end))


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
