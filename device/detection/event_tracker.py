"""Event tracker: from scores to events, by thresholds, `unknown`, maximum duration, cool-down and quiet hours."""

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from uuid6 import uuid7

from device.config.day_spans import DaySpans
from device.config.models import EventsConfig
from device.detection.active_event import ActiveEvent, Moment
from device.detection.configured_names import pattern_thresholds
from device.detection.label_settings import LabelSettings
from device.detection.nearest_labels import NearestLabels, nearest_labels
from device.detection.vocabulary import ScoredWindow, Vocabulary
from device.model.taught import NOTHING_TAUGHT, TaughtSounds
from device.types import Event, Refusal, RefusalReason, SoundName, Span, Window


class EventTracker:
    """State machine that turns the scores of successive windows into starts and ends of events.

    The last windows are scored together. One odd window then neither starts nor splits an event, and a long sound
    needs no single window of high confidence. Several vocabularies share start, end, cool-down and quiet hours; each
    has a rule of its own for the confidences of its names.

    Args:
        config: times, and the number of windows that are scored together.
        vocabularies: names that can become events, with their thresholds and rules.
        sample_rate: Hz, of positions.
        on_refusal: called for each label that becomes no event.
        taught: detectors of the sounds that must not become the event of a name.

    Attributes:
        settings: threshold, cool-down and switch of each name, of alarm patterns as well. A change applies from the
            next window on.
    """

    def __init__(
        self,
        config: EventsConfig,
        *,
        vocabularies: Sequence[Vocabulary],
        sample_rate: int,
        on_refusal: Callable[[Refusal], None] = lambda _refusal: None,
        taught: TaughtSounds = NOTHING_TAUGHT,
    ) -> None:
        self._vocabularies = vocabularies
        self._vocabulary_of = {name: each for each in vocabularies for name in each.thresholds}
        thresholds = {name: value for each in vocabularies for name, value in each.thresholds.items()}
        self.settings = LabelSettings(thresholds | pattern_thresholds(config), config.cooldown_seconds)
        self._on_refusal = on_refusal
        self._taught = taught
        self._sample_rate = sample_rate
        self._recent: deque[ScoredWindow] = deque(maxlen=config.smoothing_windows)
        self._quiet_hours = DaySpans(config.quiet_hours)
        self._maximum = round(config.maximum_seconds * sample_rate)
        self._active: dict[SoundName, ActiveEvent] = {}
        self._exhausted: set[SoundName] = set()
        self._last: Moment | None = None
        self._ended_at: dict[SoundName, int] = {}

    def update(self, scored: ScoredWindow, level_dbfs: float, time_of: Callable[[int], float]) -> Iterator[Event]:
        """Add the scores of the next window; yield the starts and ends that result.

        Args:
            scored: the window with its scores.
            level_dbfs: RMS level of the window's loudest 30 ms, dB relative to full scale.
            time_of: sample position -> Unix seconds.
        """
        self._note_pause(scored.window)
        self._recent.append(scored)
        thresholds = self.settings.thresholds
        self._last = moment = self._judge(self._recent, thresholds, level_dbfs, time_of)
        if not moment.detected:
            for vocabulary, judgement in moment.judgements.items():
                for name, reason in vocabulary.refusals(judgement, thresholds):
                    self._refuse(name, reason, moment)
        self._exclude(moment)
        yield from self._continue_events(moment)
        yield from self._start_events(moment)

    def look(self, scored: ScoredWindow, level_dbfs: float, time_of: Callable[[int], float]) -> Iterator[Event]:
        """Judge an early look alone; yield the starts of the names that it is sure of.

        The first full window of the sound judges without it: it continues such an event, or ends it where the look
        ended. A name of which the look is not sure is no refusal, because the full window follows. A name with an
        exclusion gets no early answer: the exclusion was learned from full windows.

        Args:
            scored: the look with its scores.
            level_dbfs: as for `update`.
            time_of: as for `update`.
        """
        thresholds = {
            name: vocabulary.early_threshold(self.settings[name].threshold)
            for name, vocabulary in self._vocabulary_of.items()
        }
        thresholds |= {name: math.inf for name in thresholds if name.slug in self._taught.exclusions}
        moment = self._judge([scored], thresholds, level_dbfs, time_of)
        yield from self._start_events(moment)

    def _judge(
        self,
        windows: Sequence[ScoredWindow],
        thresholds: Mapping[SoundName, float],
        level_dbfs: float,
        time_of: Callable[[int], float],
    ) -> Moment:
        """Judge windows of a sound together, by all vocabularies."""
        judgements = {vocabulary: vocabulary.judge(windows) for vocabulary in self._vocabularies}
        detected = {name for judgement in judgements.values() for name in judgement.detected(thresholds)}
        return Moment(windows[-1].window, level_dbfs, time_of, judgements, detected)

    @property
    def has_active_events(self) -> bool:
        """True while an event has started and not yet ended."""
        return bool(self._active)

    def nearest_labels(self, count: int) -> NearestLabels | None:
        """Return at most `count` labels that came nearest in the last full window; None before the first one."""
        return None if self._last is None else nearest_labels(self._last, self.settings, count)

    def close(self, span: Span, time_of: Callable[[int], float]) -> Iterator[Event]:
        """End the active events, because the span is over.

        Args:
            span: the span of the last windows.
            time_of: sample position -> Unix seconds.
        """
        self._recent.clear()
        self._exhausted.clear()
        for name, active in list(self._active.items()):
            yield self._end(name, min(active.detected_until, span.end), time_of)

    def _exclude(self, moment: Moment) -> None:
        """Refuse the detected names whose sound the user taught not to be theirs."""
        detected = {name.slug: name for name in moment.detected}
        for slug in self._taught.excluded(detected, [scored.embedding for scored in self._recent]):
            moment.detected.remove(detected[slug])
            self._refuse(detected[slug], "taught_not", moment)

    def _note_pause(self, window: Window) -> None:
        """Judge a window apart from the earlier ones if the sound paused between them, within a long hang-over."""
        if window.resumed_at is None or not self._recent or window.start < self._recent[-1].window.end:
            return
        sound_end = self._recent[-1].window.span.end
        self._recent.clear()
        for active in self._active.values():
            active.pause(sound_end)

    def _continue_events(self, moment: Moment) -> Iterator[Event]:
        """Extend the active events with a detected label; end the others, and those of the maximum duration."""
        window = moment.window
        for name, active in list(self._active.items()):
            if name in moment.detected:
                active.extend(window, moment.confidence(name), moment.scores(name), moment.level_dbfs)
                if window.end - active.start >= self._maximum:
                    self._exhausted.add(name)
                    yield self._end(name, window.end, moment.time_of)
            elif active.is_provisional:
                yield self._end(name, active.detected_until, moment.time_of)
            elif window.start >= active.next_window_start:
                end = max(active.next_window_start, active.start + window.hop_length)
                yield self._end(name, end, moment.time_of)

    def _start_events(self, moment: Moment) -> Iterator[Event]:
        """Start an event of each detected label without one, or refuse it."""
        window = moment.window
        for name in sorted(moment.detected - self._active.keys(), key=lambda name: name.slug):
            onset = window.span.start if window.is_early else self._onset(name)
            if reason := self._refusal_reason(name, onset, moment.time_of(onset)):
                if not window.is_early:
                    self._refuse(name, reason, moment)
                continue
            event = Event(
                type="start",
                event_id=str(uuid7()),
                label=name.label,
                confidence=moment.confidence(name),
                scores=moment.scores(name),
                start_time=moment.time_of(onset),
                end_time=None,
                level_dbfs=moment.level_dbfs,
                gate=window.span.reason,
                vocabulary=name.vocabulary,
                slug=name.slug,
            )
            next_start = window.start + window.hop_length
            self._active[name] = ActiveEvent(event, onset, window.end, next_start, is_provisional=window.is_early)
            yield event

    def _refuse(self, name: SoundName, reason: RefusalReason, moment: Moment) -> None:
        time = moment.time_of(moment.window.end)
        self._on_refusal(Refusal(reason, name.label, moment.confidence(name), self.settings[name].threshold, time))

    def _refusal_reason(self, name: SoundName, onset: int, time: float) -> RefusalReason | None:
        """Return why a detected label starts no event; None if it starts one."""
        setting = self.settings[name]
        if not setting.enabled:
            return "switched_off"
        if name in self._exhausted:
            return "maximum_duration"
        if name in self._ended_at and onset < self._ended_at[name] + round(setting.cooldown * self._sample_rate):
            return "cooling_down"
        if self._quiet_hours.hold(time):
            return "quiet_hours"
        return None

    def _onset(self, name: SoundName) -> int:
        """Return the position at which a detected label began, from the windows that raised it above its threshold."""
        least, vocabulary = self.settings[name].threshold / 2, self._vocabulary_of[name]
        contributing = [scored.window for scored in self._recent if vocabulary.score(scored, name) >= least]
        first = contributing[0] if contributing else self._recent[-1].window
        if first.resumed_at is not None:
            return first.resumed_at
        if first.start < first.span.start:
            return first.span.start  # first window of the span: the onset opened the gate
        return first.end - first.hop_length  # later window: only its last hop is new, so the onset lies there

    def _end(self, name: SoundName, end: int, time_of: Callable[[int], float]) -> Event:
        active = self._active.pop(name)
        end = max(end, active.start)
        self._ended_at[name] = end
        return dataclasses.replace(active.event, type="end", end_time=time_of(end))
