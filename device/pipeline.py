"""Pipeline from blocks to events: gate, window, networks, event tracker.

It starts no thread, reads no clock and opens no connection: the same blocks give the same events.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from device.audio.ring_buffer import RingBuffer
from device.config.models import Config
from device.detection.alarm_events import AlarmEvents, Moment
from device.detection.configured_names import make_vocabularies
from device.detection.event_tracker import EventTracker
from device.detection.gate import SoundGate
from device.detection.vocabulary import ScoredWindow
from device.detection.windowing import Windower
from device.model.bundle import Bundle
from device.model.clip_scoring import Classify
from device.model.scoring import likeliest_classes
from device.model.taught import NOTHING_TAUGHT, TaughtSounds
from device.types import (
    BLOCK_SECONDS,
    Blocks,
    ClassifiedWindow,
    Event,
    Observer,
    Refusal,
    Samples,
    SourceLost,
    Span,
    Window,
)
from device.util.samples import loudest_dbfs

EARLY_LOOK_SECONDS = (1.0, 2.0)
"""Times from the onset of a sound to the end of its early looks, s. The first full window ends at 2.5 s by default."""
_QUIET_BLOCKS = 6
"""Fewest blocks that are processed at once while nothing sounds: fewer wait for others, at most 0.15 s. A microphone's
quiet read has 7 or 8, which wait for nothing. Positions and windows are those of single blocks."""
_REFUSAL_CLASSES = 3
"""Number of AudioSet classes in a refusal."""


class Pipeline:
    """Joins ring buffer, gate, windows, networks and events.

    Args:
        config: of gate, window and events.
        bundle: labels, AudioSet classes, length of a window, thresholds and the rule for `unknown`.
        classify: scores a window of live sound, from its samples.
        observer: called for each block, classified window, refusal and event.
        stretch: returns the current factor of load shedding, at least 1, for hops and the pause between probes.
        classify_look: scores an early look, from its repeated samples; None for `classify`.
        taught: detectors of taught sounds.

    Attributes:
        gate: the gate, with the levels of its bands.
        tracker: the event tracker, with the settings of each label and the nearest labels.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        classify: Classify,
        observer: Observer | None = None,
        stretch: Callable[[], float] = lambda: 1.0,
        classify_look: Classify | None = None,
        taught: TaughtSounds = NOTHING_TAUGHT,
    ) -> None:
        self._window_length, self._classes = bundle.window_length, bundle.audioset_classes
        self._classify, self._classify_look = classify, classify_look or classify
        self._observer = observer or Observer()
        self._sample_rate = rate = bundle.sample_rate
        self._last: ClassifiedWindow | None = None
        self._last_blocks: Blocks = Blocks(np.empty(0, np.int16), 0, 0.0)
        self._hop_length = round(config.window.hop_seconds * rate)
        pre_roll = round(config.window.pre_roll_seconds * rate)
        self.gate = SoundGate(config.gate, rate, stretch)
        reach = max(self._hop_length, pre_roll + self.gate.lookback)
        self._block_length = block_length = round(BLOCK_SECONDS * rate)
        kept_blocks = -(-(self._window_length + reach) // block_length) + 1
        self._ring = RingBuffer(kept_blocks * block_length)
        self._rises: deque[tuple[int, float]] = deque(maxlen=kept_blocks)
        looks = [round(seconds * rate) for seconds in EARLY_LOOK_SECONDS if config.events.early_answer]
        self._windower = Windower(self._window_length, self._hop_length, pre_roll, stretch, looks)
        self.tracker = EventTracker(
            config.events,
            vocabularies=make_vocabularies(config.events, bundle, taught),
            sample_rate=rate,
            on_refusal=self._report_refusal,
            taught=taught,
        )
        self._alarms = AlarmEvents(rate, self.tracker.settings)

    def run(self, source: Iterable[Blocks | SourceLost]) -> Iterator[Event]:
        """Yield the events of a source. Its end, or a break in it, ends the events that are going on."""
        waiting: Blocks | None = None
        for item in source:
            if isinstance(item, SourceLost) or item.position != (waiting.end if waiting else self._ring.end):
                yield from self._process(waiting)
                waiting = None
                # More than a window can bridge ends what goes on.
                if isinstance(item, SourceLost) or item.position - self._ring.end > self._hop_length:
                    yield from self._end_span()
            if isinstance(item, SourceLost):
                continue
            waiting = item if waiting is None else self._joined(waiting, item)
            if len(waiting.samples) >= _QUIET_BLOCKS * self._block_length or not self._is_quiet:
                yield from self._process(waiting)
                waiting = None
                self._observer.on_pause(max(0, self._windower.due - self._ring.end) / self._sample_rate)
        yield from self._process(waiting)
        yield from self._end_span()

    def _joined(self, blocks: Blocks, following: Blocks) -> Blocks:
        """Return blocks and those that follow without a gap, with the time of the latter."""
        time = following.time - (following.position - blocks.position) / self._sample_rate
        return Blocks(np.concatenate([blocks.samples, following.samples]), blocks.position, time)

    @property
    def _is_quiet(self) -> bool:
        """State of all stages: True with a shut gate, without an open window and without an active event."""
        return self.gate.is_shut and self._windower.is_idle and not self.tracker.has_active_events

    def _process(self, blocks: Blocks | None) -> Iterator[Event]:
        """Take blocks through gate, windows and events."""
        if blocks is None:
            return
        self._last_blocks, position = blocks, blocks.position
        rows = blocks.samples.reshape(-1, self._block_length)
        while len(rows):
            count, before, span = self._update_gate(rows, position)
            # The block that opens or shuts the gate is a part of its own.
            first = count - 1 if _is_open(before) != _is_open(span) else 0
            for part, state in ((rows[:first], before), (rows[first:count], span)):
                if part.size:
                    yield from self._advance(part.reshape(-1), position, state)
                    position += part.size
            rows = rows[count:]

    def _update_gate(self, rows: Samples, position: int) -> tuple[int, Span | None, Span | None]:
        """Take blocks through the gate, up to the first one that opens or shuts it, or completes a window.

        Returns:
            Number of blocks, at least 1; and the gate's span before the last of them and after it.
        """
        if self._is_quiet:
            count, span = self.gate.update_while_shut(rows, position)
            if span is not None:
                self._rises.append((position + (count - 1) * self._block_length, self.gate.rise_db))
            return count, None, span
        was_shut, due = self.gate.is_shut, self._windower.due
        spans: list[Span | None] = [None]
        for row in rows:
            spans.append(span := self.gate.update(row, position))
            if span is not None:
                self._rises.append((position, self.gate.rise_db))
            position += self._block_length
            if position >= due or self.gate.is_shut != was_shut:
                break
        return len(spans) - 1, spans[-2], spans[-1]

    def _advance(self, samples: Samples, position: int, span: Span | None) -> Iterator[Event]:
        """Take samples, with one state of the gate, through ring buffer, windows and events.

        Args:
            samples: of one or more blocks, shape (n,), int16.
            position: position of the first one.
            span: the gate's span after them; None while it is shut.
        """
        self._ring.write(samples, position)
        self._observer.on_block(len(samples) / self._sample_rate, span.reason if span and span.is_open else None)
        yield from self._track(self._windower.update(span, self._ring.end))
        yield from self._report(self._alarms.update(samples, position, self._moment(span)))
        self.gate.set_event_active(self.tracker.has_active_events)

    def _end_span(self) -> Iterator[Event]:
        """Close the gate after the last block, and end the events that are going on."""
        yield from self._track(self._windower.flush(self.gate.close()))
        yield from self._report(self._alarms.end_all(self._time_of))
        self.gate.set_event_active(False)

    def _track(self, due: Iterable[Window | Span]) -> Iterator[Event]:
        """Update the event tracker with each complete window and each finished span, and yield its events."""
        for item in due:
            if isinstance(item, Span):
                events = self.tracker.close(item, self._time_of)
            elif item.is_early and self.tracker.has_active_events:
                continue  # an earlier look was sure
            else:
                events = self._judge(item)
            yield from self._report(events)

    def _report(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            yield event  # first, so that observers do not delay its message
            self._observer.on_event(event)

    def _time_of(self, position: int) -> float:
        """Return the time of a position, Unix seconds, by the position and time of the last blocks."""
        return self._last_blocks.time + (position - self._last_blocks.position) / self._sample_rate

    def _moment(self, span: Span | None) -> Moment:
        """Return the circumstances of the last samples, for alarm patterns."""
        end = self._ring.end
        return Moment(
            self._time_of,
            lambda: loudest_dbfs(self._ring.read(end - self._window_length, end), self._sample_rate),
            span.reason if span and span.is_open else None,
        )

    def _judge(self, item: Window) -> Iterator[Event]:
        """Classify a window or an early look, and update the event tracker with it."""
        window = self._classify_window(item, self._time_of(item.start))
        scored = ScoredWindow(item, window.scores, window.rise_db, window.audioset, window.embedding)
        level = loudest_dbfs(window.samples, self._sample_rate)
        if item.is_early:
            self._observer.on_look(window)
            return self.tracker.look(scored, level, self._time_of)
        self._last = window
        self._observer.on_window(window)
        return self.tracker.update(scored, level, self._time_of)

    def _classify_window(self, window: Window, start_time: float) -> ClassifiedWindow:
        # An early look is repeated to a whole window: sound is then in all of it, as the networks were trained.
        samples = np.resize(self._ring.read(window.start, window.end), self._window_length)
        result = (self._classify_look if window.is_early else self._classify)(samples)
        rise_db = max((rise for at, rise in self._rises if window.start <= at < window.end), default=0.0)
        extent, onset = (window.start, start_time, samples), window.span.start
        parts = result.audioset, result.embedding
        return ClassifiedWindow(*extent, result.log_mel, result.scores, onset, rise_db, *parts)

    def _report_refusal(self, refusal: Refusal) -> None:
        """Report a refusal. For an unknown sound, add the AudioSet classes that its window resembles most."""
        if refusal.reason == "unknown" and self._last is not None:
            classes = likeliest_classes(self._classes, self._last.audioset, _REFUSAL_CLASSES)
            refusal = dataclasses.replace(refusal, audioset=classes)
        self._observer.on_refusal(refusal)


def _is_open(span: Span | None) -> bool:
    """Return whether a span of the gate goes on."""
    return span is not None and span.is_open
