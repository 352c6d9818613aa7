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
from device.detection.label_settings import LabelSettings
from device.detection.vocabulary import ScoredWindow
from device.detection.windowing import Windower
from device.model.bundle import Bundle
from device.model.clip_scoring import Classify
from device.model.scoring import likeliest_classes
from device.model.taught import NOTHING_TAUGHT, TaughtSounds
from device.types import (
    BLOCK_SECONDS,
    Block,
    ClassifiedWindow,
    Event,
    GateReason,
    Observer,
    Refusal,
    SourceLost,
    Span,
    Window,
)
from device.util.samples import loudest_dbfs

EARLY_LOOK_SECONDS = (1.0, 2.0)
"""Times from the onset of a sound to the end of its early looks, s. The first full window ends at 2.5 s by default."""
_MOST_BLOCKS = 10
"""Most blocks that are processed at once. While nothing sounds, a sound is detected at most 0.27 s later; positions and
windows are those of single blocks."""
_QUIET_BLOCKS = 6
"""Blocks from which, while nothing sounds, the end of a read is not waited for by others. A microphone's quiet read has
6 to 10 blocks; blocks that arrive one by one wait for five others. While something sounds, no block waits."""
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
        self._last_block: Block | None = None
        self._hop_length = round(config.window.hop_seconds * rate)
        pre_roll = round(config.window.pre_roll_seconds * rate)
        self._gate = SoundGate(config.gate, rate, stretch)
        reach = max(self._hop_length, pre_roll + self._gate.lookback)
        block_length = round(BLOCK_SECONDS * rate)
        kept_blocks = -(-(self._window_length + reach) // block_length) + 1
        self._ring = RingBuffer(kept_blocks * block_length)
        self._rises: deque[tuple[int, float]] = deque(maxlen=kept_blocks)
        looks = [round(seconds * rate) for seconds in EARLY_LOOK_SECONDS if config.events.early_answer]
        self._windower = Windower(self._window_length, self._hop_length, pre_roll, stretch, looks)
        self._tracker = EventTracker(
            config.events,
            vocabularies=make_vocabularies(config.events, bundle, taught),
            sample_rate=rate,
            on_refusal=self._report_refusal,
            taught=taught,
        )
        self._alarms = AlarmEvents(rate, self._tracker.settings)

    @property
    def settings(self) -> LabelSettings:
        """Threshold, cool-down and switch of each label, configured AudioSet class and alarm pattern."""
        return self._tracker.settings

    def run(self, source: Iterable[Block | SourceLost]) -> Iterator[Event]:
        """Yield the events of a source. Its end, or a break in it, ends the events that are going on."""
        waiting: list[Block] = []
        end, is_quiet = self._ring.end, self._is_quiet
        for item in source:
            if isinstance(item, SourceLost) or item.position != end:
                yield from self._process(waiting)
                waiting = []
                # More than a window can bridge ends what goes on.
                if isinstance(item, SourceLost) or item.position - self._ring.end > self._hop_length:
                    yield from self._end_span()
                is_quiet = self._is_quiet
            if isinstance(item, SourceLost):
                continue
            waiting.append(item)
            end = item.end
            if len(waiting) >= (_MOST_BLOCKS if not item.ends_read else _QUIET_BLOCKS if is_quiet else 1):
                yield from self._process(waiting)
                waiting, is_quiet = [], self._is_quiet
                self._observer.on_pause(max(0, self._windower.due - end) / self._sample_rate)
        yield from self._process(waiting)
        yield from self._end_span()

    @property
    def _is_quiet(self) -> bool:
        """State of all stages: True with a shut gate, without an open window and without an active event."""
        return self._gate.is_shut and self._windower.is_idle and not self._tracker.has_active_events

    def _process(self, blocks: list[Block]) -> Iterator[Event]:
        """Take blocks without a gap through gate, windows and events."""
        while blocks:
            count, before, span = self._update_gate(blocks)
            # The block that opens or shuts the gate is a part of its own.
            if count > 1 and _is_open(before) != _is_open(span):
                yield from self._advance(blocks[: count - 1], before)
                yield from self._advance(blocks[count - 1 : count], span)
            else:
                yield from self._advance(blocks[:count], span)
            blocks = blocks[count:]

    def _update_gate(self, blocks: list[Block]) -> tuple[int, Span | None, Span | None]:
        """Take blocks through the gate, up to the first one that opens or shuts it, or completes a window.

        Returns:
            Number of blocks, at least 1; and the gate's span before the last of them and after it.
        """
        if self._is_quiet:
            count, span = self._gate.update_while_shut(blocks)
            if span is not None:
                self._rises.append((blocks[count - 1].position, self._gate.rise_db))
            return count, None, span
        was_shut, due = self._gate.is_shut, self._windower.due
        spans: list[Span | None] = [None]
        for block in blocks:
            spans.append(span := self._gate.update(block))
            if span is not None:
                self._rises.append((block.position, self._gate.rise_db))
            if block.end >= due or self._gate.is_shut != was_shut:
                break
        return len(spans) - 1, spans[-2], spans[-1]

    def _advance(self, blocks: list[Block], span: Span | None) -> Iterator[Event]:
        """Take blocks without a gap, with one state of the gate, through ring buffer, windows and events."""
        self._last_block = last = blocks[-1]
        samples = last.samples if len(blocks) == 1 else np.concatenate([block.samples for block in blocks])
        self._ring.write(samples, blocks[0].position)
        gate = span.reason if span and span.is_open else None
        self._observer.on_block(len(samples) / self._sample_rate, gate)
        yield from self._track(self._windower.update(span, last.end), last)
        yield from self._report(self._alarms.update(samples, blocks[0].position, self._moment(last, gate)))
        self._gate.set_event_active(self._tracker.has_active_events)

    def _end_span(self) -> Iterator[Event]:
        """Close the gate after the last block, and end the events that are going on."""
        if self._last_block is not None:
            yield from self._track(self._windower.flush(self._gate.close()), self._last_block)
            yield from self._report(self._alarms.end_all(self._time_of(self._last_block)))
            self._gate.set_event_active(False)

    def _track(self, due: Iterable[Window | Span], block: Block) -> Iterator[Event]:
        """Classify each complete window, update the event tracker, and yield its events.

        Args:
            due: windows that are complete, and spans that are over.
            block: the last block; it maps positions to times.
        """
        time_of = self._time_of(block)
        for item in due:
            if isinstance(item, Span):
                events = self._tracker.close(item, time_of)
            elif item.is_early and self._tracker.has_active_events:
                continue  # an earlier look was sure
            else:
                events = self._judge(item, time_of)
            yield from self._report(events)

    def _report(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            yield event  # first, so that observers do not delay its message
            self._observer.on_event(event)

    def _time_of(self, block: Block) -> Callable[[int], float]:
        """Return the function from a position to its time, Unix seconds, by the position and time of a block."""
        return lambda position: block.time + (position - block.position) / self._sample_rate

    def _moment(self, block: Block, gate: GateReason | None) -> Moment:
        """Return the circumstances of the last block, for alarm patterns."""
        start = block.end - self._window_length
        return Moment(
            self._time_of(block),
            lambda: loudest_dbfs(self._ring.read(start, block.end), self._sample_rate),
            gate,
        )

    def _judge(self, item: Window, time_of: Callable[[int], float]) -> Iterator[Event]:
        """Classify a window or an early look, and update the event tracker with it."""
        window = self._classify_window(item, time_of(item.start))
        scored = ScoredWindow(item, window.scores, window.rise_db, window.audioset, window.embedding)
        level = loudest_dbfs(window.samples, self._sample_rate)
        if item.is_early:
            self._observer.on_look(window)
            return self._tracker.look(scored, level, time_of)
        self._last = window
        self._observer.on_window(window)
        return self._tracker.update(scored, level, time_of)

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
