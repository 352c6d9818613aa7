"""Event tracker: from scores to events, by thresholds, `unknown`, maximum duration, cool-down and quiet hours."""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from uuid6 import uuid7

from device.config.models import EventsConfig
from device.config.quiet_hours import QuietHours
from device.detection.vocabulary import Judgement, ScoredWindow, Vocabulary
from device.model.taught import NOTHING_TAUGHT, TaughtSounds
from device.types import Event, Refusal, RefusalReason, SoundName, Span, Window


@dataclass
class _ActiveEvent:
    """Event that has started and not yet ended.

    Attributes:
        event: its start message, with the highest confidence so far, the scores at that moment, and the highest level.
        start: position of its onset.
        detected_until: end of the last window in which its label was detected.
        next_window_start: start of the window after that one. The event ends there, unless that window detects the
            label again.
        is_paused: whether the sound has paused since, for longer than a window.
    """

    event: Event
    start: int
    detected_until: int
    next_window_start: int
    is_paused: bool = False

    def extend(self, window: Window, confidence: float, scores: dict[str, float], level_dbfs: float) -> None:
        """Continue the event through another window in which its label was detected."""
        self.detected_until, self.next_window_start = window.end, window.start + window.hop_length
        self.is_paused = False
        event = self.event
        if confidence > event.confidence:
            event = dataclasses.replace(event, confidence=confidence, scores=scores)
        self.event = dataclasses.replace(event, level_dbfs=max(event.level_dbfs, level_dbfs))

    def pause(self, sound_end: int) -> None:
        """Note a pause after `sound_end`, where the event ends unless the next window detects its label."""
        self.detected_until, self.is_paused = min(self.detected_until, sound_end), True


@dataclass(frozen=True)
class _Moment:
    """Judgements of all vocabularies at one window.

    Attributes:
        window: extent of the window.
        level_dbfs: RMS level of the window's loudest 30 ms, dB relative to full scale.
        time_of: sample position -> Unix seconds.
        judgements: judgement that contains each name.
        detected: names that reach their thresholds.
    """

    window: Window
    level_dbfs: float
    time_of: Callable[[int], float]
    judgements: Mapping[SoundName, Judgement]
    detected: set[SoundName]

    def confidence(self, name: SoundName) -> float:
        """Return the confidence of a name, 0 to 1."""
        return self.judgements[name].confidences[name]


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
        self._thresholds = {name: value for each in vocabularies for name, value in each.thresholds.items()}
        self._by_slug = {name.slug: name for name in self._thresholds}
        self._on_refusal = on_refusal
        self._taught = taught
        self._cooldown = round(config.cooldown_seconds * sample_rate)
        self._recent: deque[ScoredWindow] = deque(maxlen=config.smoothing_windows)
        self._quiet_hours = QuietHours(config.quiet_hours)
        self._maximum = round(config.maximum_seconds * sample_rate)
        self._active: dict[SoundName, _ActiveEvent] = {}
        self._exhausted: set[SoundName] = set()
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
        judgements = {vocabulary: vocabulary.judge(self._recent) for vocabulary in self._vocabularies}
        moment = _Moment(
            scored.window,
            level_dbfs,
            time_of,
            {name: judgement for judgement in judgements.values() for name in judgement.confidences},
            {name for judgement in judgements.values() for name in judgement.detected(self._thresholds)},
        )
        if not moment.detected:
            for vocabulary, judgement in judgements.items():
                for name, reason in vocabulary.refusals(judgement, self._thresholds):
                    self._refuse(name, reason, moment)
        self._exclude(moment)
        yield from self._continue_events(moment)
        yield from self._start_events(moment)

    @property
    def thresholds(self) -> dict[str, float]:
        """Confidence from which each name becomes an event, by slug; a copy."""
        return {name.slug: threshold for name, threshold in self._thresholds.items()}

    def set_threshold(self, slug: str, threshold: float) -> None:
        """Change the confidence from which a name becomes an event, from the next window on; any thread."""
        self._thresholds[self._by_slug[slug]] = threshold

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
        for name, active in list(self._active.items()):
            yield self._end(name, min(active.detected_until, span.end), time_of)

    def _exclude(self, moment: _Moment) -> None:
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

    def _continue_events(self, moment: _Moment) -> Iterator[Event]:
        """Extend the active events with a detected label; end the others, and those of the maximum duration."""
        window = moment.window
        for name, active in list(self._active.items()):
            if name in moment.detected:
                scores = moment.judgements[name].scores
                active.extend(window, moment.confidence(name), scores, moment.level_dbfs)
                if window.end - active.start >= self._maximum:
                    self._exhausted.add(name)
                    yield self._end(name, window.end, moment.time_of)
            elif active.is_paused:
                yield self._end(name, active.detected_until, moment.time_of)
            elif window.start >= active.next_window_start:
                end = max(active.next_window_start, active.start + window.hop_length)
                yield self._end(name, end, moment.time_of)

    def _start_events(self, moment: _Moment) -> Iterator[Event]:
        """Start an event of each detected label without one, or refuse it."""
        window = moment.window
        for name in sorted(moment.detected - self._active.keys(), key=lambda name: name.slug):
            onset = self._onset(name)
            if reason := self._refusal_reason(name, onset, moment.time_of(onset)):
                self._refuse(name, reason, moment)
                continue
            event = Event(
                type="start",
                event_id=str(uuid7()),
                label=name.label,
                confidence=moment.confidence(name),
                scores=moment.judgements[name].scores,
                start_time=moment.time_of(onset),
                end_time=None,
                level_dbfs=moment.level_dbfs,
                gate=window.span.reason,
                vocabulary=name.vocabulary,
                slug=name.slug,
            )
            self._active[name] = _ActiveEvent(event, onset, window.end, window.start + window.hop_length)
            yield event

    def _refuse(self, name: SoundName, reason: RefusalReason, moment: _Moment) -> None:
        time = moment.time_of(moment.window.end)
        self._on_refusal(Refusal(reason, name.label, moment.confidence(name), self._thresholds[name], time))

    def _refusal_reason(self, name: SoundName, onset: int, time: float) -> RefusalReason | None:
        """Return why a detected label starts no event; None if it starts one."""
        if name in self._exhausted:
            return "maximum_duration"
        if name in self._ended_at and onset < self._ended_at[name] + self._cooldown:
            return "cooling_down"
        if self._quiet_hours.hold(time):
            return "quiet_hours"
        return None

    def _onset(self, name: SoundName) -> int:
        """Return the position at which a detected label began, from the windows that raised it above its threshold."""
        least, vocabulary = self._thresholds[name] / 2, self._vocabulary_of[name]
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
