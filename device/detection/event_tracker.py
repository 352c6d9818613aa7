"""Event tracker: from scores to events, by thresholds, `unknown`, maximum duration, cool-down and quiet hours."""

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
class _ActiveEvent:
    """Event that has started and not yet ended.

    Attributes:
        event: its start message, with the highest confidence so far, the scores at that moment, and the highest level.
        start: position of its onset.
        detected_until: end of the last window in which its label was detected.
        next_window_start: start of the window after that one. The event ends there, unless that window detects the
            label again.
    """

    event: Event
    start: int
    detected_until: int
    next_window_start: int

    def extend(self, window: Window, scores: dict[str, float], level_dbfs: float) -> None:
        """Continue the event through another window in which its label was detected."""
        self.detected_until, self.next_window_start = window.end, window.start + window.hop_length
        event = self.event
        if scores[event.label] > event.confidence:
            event = dataclasses.replace(event, confidence=scores[event.label], scores=scores)
        self.event = dataclasses.replace(event, level_dbfs=max(event.level_dbfs, level_dbfs))


class EventTracker:
    """State machine that turns the scores of successive windows into starts and ends of events.

    The last windows are scored together. One odd window then neither starts nor splits an event, and a long sound
    needs no single window of high confidence.

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
            label: _first_set(config.thresholds.get(label), config.threshold, bundle_thresholds[label])
            for label in scorer.labels
        }
        self._on_refusal = on_refusal
        self._cooldown = round(config.cooldown_seconds * sample_rate)
        self._recent: deque[tuple[Window, Probabilities, float]] = deque(maxlen=config.smoothing_windows)
        self._quiet_hours = QuietHours(config.quiet_hours)
        self._maximum = round(config.maximum_seconds * sample_rate)
        self._active: dict[str, _ActiveEvent] = {}
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
        """Add the scores of the next window; yield the starts and ends that result.

        Args:
            window: extent of the window.
            scores: shape (labels,), 0 to 1, of this window alone, without the prior odds of live sound.
            rise_db: highest rise above the noise floor in the window, dB.
            level_dbfs: RMS level of the window's loudest 30 ms, dB relative to full scale.
            time_of: sample position -> Unix seconds.
        """
        self._recent.append((window, scores, rise_db))
        live_scores = self._live_scores()
        confidences = self._by_label(live_scores)
        is_unknown = self._scorer.decide(live_scores) == UNKNOWN
        detected = (
            set() if is_unknown else {label for label, value in confidences.items() if value >= self._thresholds[label]}
        )

        def refuse(label: str, reason: RefusalReason) -> None:
            self._on_refusal(Refusal(reason, label, confidences[label], self._thresholds[label], time_of(window.end)))

        if not detected:
            likeliest = max(confidences, key=lambda label: confidences[label])
            refuse(likeliest, "unknown" if is_unknown else "below_threshold")
        for active in list(self._active.values()):
            if active.event.label in detected:
                active.extend(window, confidences, level_dbfs)
                if window.end - active.start >= self._maximum:
                    self._exhausted.add(active.event.label)
                    yield self._end(active, window.end, time_of)
            elif window.start >= active.next_window_start:
                yield self._end(active, max(active.next_window_start, active.start + window.hop_length), time_of)
        for label in sorted(detected - self._active.keys()):
            onset = self._onset(label)
            if reason := self._refusal_reason(label, onset, time_of(onset)):
                refuse(label, reason)
                continue
            event = Event(
                type="start",
                event_id=str(uuid7()),
                label=label,
                confidence=confidences[label],
                scores=confidences,
                start_time=time_of(onset),
                end_time=None,
                level_dbfs=level_dbfs,
                gate=window.span.reason,
            )
            self._active[label] = _ActiveEvent(event, onset, window.end, window.start + window.hop_length)
            yield event

    @property
    def thresholds(self) -> dict[str, float]:
        """Confidence from which each label becomes an event; a copy."""
        return dict(self._thresholds)

    def set_threshold(self, label: str, threshold: float) -> None:
        """Change the confidence from which a label becomes an event, from the next window on; any thread."""
        self._thresholds[label] = threshold

    @property
    def has_active_events(self) -> bool:
        """True while an event has started and not yet ended."""
        return bool(self._active)

    def close(self, span: Span, time_of: Callable[[int], float]) -> Iterator[Event]:
        """End the active events, because the span is over.

        Args:
            span: the span of the last windows.
            time_of: sample position -> Unix seconds.
        """
        self._recent.clear()
        self._exhausted.clear()
        for active in list(self._active.values()):
            yield self._end(active, min(active.detected_until, span.end), time_of)

    def _live_scores(self) -> Probabilities:
        """Pool the scores of the last windows, shape (labels,)."""
        windows, scores, rises_db = zip(*self._recent, strict=True)
        first, last = windows[0], windows[-1]
        count = independent_windows(first.start, last.start, last.end - last.start, len(windows))
        return self._scorer.live_scores(np.stack(scores), count, max(rises_db))

    def _refusal_reason(self, label: str, onset: int, time: float) -> RefusalReason | None:
        """Return why a detected label starts no event; None if it starts one."""
        if label in self._exhausted:
            return "maximum_duration"
        if label in self._ended_at and onset < self._ended_at[label] + self._cooldown:
            return "cooling_down"
        if self._quiet_hours.hold(time):
            return "quiet_hours"
        return None

    def _onset(self, label: str) -> int:
        """Return the position at which a detected label began, from the windows that raised it above its threshold."""
        index = self._labels.index(label)
        contributing = [window for window, scores, _ in self._recent if scores[index] >= self._thresholds[label] / 2]
        first = contributing[0] if contributing else self._recent[-1][0]
        if first.start < first.span.start:
            return first.span.start  # first window of the span: the onset opened the gate
        return first.end - first.hop_length  # later window: only its last hop is new, so the onset lies there

    def _by_label(self, scores: Probabilities) -> dict[str, float]:
        return {label: round(float(score), 4) for label, score in zip(self._labels, scores, strict=True)}

    def _end(self, active: _ActiveEvent, end: int, time_of: Callable[[int], float]) -> Event:
        del self._active[active.event.label]
        end = max(end, active.start)
        self._ended_at[active.event.label] = end
        return dataclasses.replace(active.event, type="end", end_time=time_of(end))


def _first_set(*values: float | None) -> float:
    return next(value for value in values if value is not None)
