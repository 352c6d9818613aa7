"""Pipeline from blocks to events: gate, window, networks, event tracker.

It starts no thread, reads no clock and opens no connection: the same blocks give the same events.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from device.audio.ring_buffer import RingBuffer
from device.config.models import Config
from device.detection.event_tracker import EventTracker
from device.detection.gate import SoundGate
from device.detection.vocabulary import ScoredWindow, make_vocabularies
from device.detection.windowing import Windower
from device.model.bundle import Bundle
from device.model.scoring import likeliest_classes
from device.model.taught import NOTHING_TAUGHT, TaughtSounds
from device.types import (
    BLOCK_SECONDS,
    Block,
    ClassifiedWindow,
    Event,
    Observer,
    Probabilities,
    Refusal,
    Samples,
    SourceLost,
    Span,
    Window,
    WindowScores,
    level_dbfs,
)

Classify = Callable[[Samples], WindowScores]
"""Function from the samples of a window, shape (window_length,), int16, to its scores."""
_QUIET_BLOCKS = 8
"""Blocks that are processed at once while nothing sounds: two groups of the noise floor. A sound is detected at most
0.21 s later; positions and windows are those of single blocks."""
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
        taught: detectors of taught sounds.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        classify: Classify,
        observer: Observer | None = None,
        stretch: Callable[[], float] = lambda: 1.0,
        taught: TaughtSounds = NOTHING_TAUGHT,
    ) -> None:
        self._window_length, self._classes = bundle.window_length, bundle.audioset_classes
        self._classify = classify
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
        self._windower = Windower(self._window_length, self._hop_length, pre_roll, stretch)
        self._tracker = EventTracker(
            config.events,
            vocabularies=make_vocabularies(config.events, bundle, taught),
            sample_rate=rate,
            on_refusal=self._report_refusal,
            taught=taught,
        )

    @property
    def thresholds(self) -> dict[str, float]:
        """Confidence from which each label or configured AudioSet class becomes an event, by slug."""
        return self._tracker.thresholds

    def set_threshold(self, slug: str, threshold: float) -> None:
        """Change the threshold of one label or AudioSet class, from the next window on; any thread.

        Args:
            slug: a key of `thresholds`.
            threshold: 0 to 1.
        """
        self._tracker.set_threshold(slug, threshold)

    def run(self, source: Iterable[Block | SourceLost]) -> Iterator[Event]:
        """Yield the events of a source. Its end, or a break in it, ends the events that are going on."""
        waiting: list[Block] = []
        for item in source:
            is_break = isinstance(item, SourceLost)
            if is_break or (waiting and item.position != waiting[-1].end):
                yield from self._process(waiting)
                waiting = []
            if is_break or item.position - self._ring.end > self._hop_length:  # more than a window can bridge
                yield from self._end_span()
            if isinstance(item, SourceLost):
                continue
            waiting.append(item)
            if len(waiting) == _QUIET_BLOCKS or not self._is_quiet:
                yield from self._process(waiting)
                waiting = []
        yield from self._process(waiting)
        yield from self._end_span()

    @property
    def _is_quiet(self) -> bool:
        """State of all stages: True with a shut gate, without an open window and without an active event."""
        return self._gate.is_shut and self._windower.is_idle and not self._tracker.has_active_events

    def _process(self, blocks: list[Block]) -> Iterator[Event]:
        """Take blocks without a gap through gate, windows and events: together in quiet, then one by one."""
        while blocks:
            count, span = self._gate.update_while_shut(blocks) if self._is_quiet else (1, self._gate.update(blocks[0]))
            quiet, sounding = (blocks[:count], []) if span is None else (blocks[: count - 1], [blocks[count - 1]])
            if quiet:
                yield from self._advance(quiet, None)
            if sounding:
                yield from self._advance(sounding, span)
            blocks = blocks[count:]

    def _advance(self, blocks: list[Block], span: Span | None) -> Iterator[Event]:
        """Take blocks without a gap, with one state of the gate, through ring buffer, windows and events."""
        self._last_block = last = blocks[-1]
        samples = last.samples if len(blocks) == 1 else np.concatenate([block.samples for block in blocks])
        self._ring.write(samples, blocks[0].position)
        if span is not None:
            self._rises.append((last.position, self._gate.rise_db))
        self._observer.on_block(len(samples) / self._sample_rate, span.reason if span and span.is_open else None)
        yield from self._track(self._windower.update(span, last.end), last)
        self._gate.set_event_active(self._tracker.has_active_events)

    def _end_span(self) -> Iterator[Event]:
        """Close the gate after the last block, and end the events that are going on."""
        if self._last_block is not None:
            yield from self._track(self._windower.flush(self._gate.close()), self._last_block)
            self._gate.set_event_active(False)

    def _track(self, due: Iterable[Window | Span], block: Block) -> Iterator[Event]:
        """Classify each complete window, update the event tracker, and yield its events.

        Args:
            due: windows that are complete, and spans that are over.
            block: the last block; it maps positions to times.
        """

        def time_of(position: int) -> float:
            return block.time + (position - block.position) / self._sample_rate

        for item in due:
            if isinstance(item, Window):
                self._last = window = self._classify_window(item, time_of(item.start))
                self._observer.on_window(window)
                level = loudest_dbfs(window.samples, self._sample_rate)
                scored = ScoredWindow(item, window.scores, window.rise_db, window.audioset, window.embedding)
                events = self._tracker.update(scored, level, time_of)
            else:
                events = self._tracker.close(item, time_of)
            for event in events:
                self._observer.on_event(event)
                yield event

    def _classify_window(self, window: Window, start_time: float) -> ClassifiedWindow:
        samples = self._ring.read(window.start, window.end)
        result = self._classify(samples)
        rise_db = max((rise for at, rise in self._rises if window.start <= at < window.end), default=0.0)
        return ClassifiedWindow(
            window.start,
            start_time,
            samples,
            result.log_mel,
            result.scores,
            window.span.start,
            rise_db,
            result.audioset,
            result.embedding,
        )

    def _report_refusal(self, refusal: Refusal) -> None:
        """Report a refusal. For an unknown sound, add the AudioSet classes that its window resembles most."""
        if refusal.reason == "unknown" and self._last is not None:
            classes = likeliest_classes(self._classes, self._last.audioset, _REFUSAL_CLASSES)
            refusal = dataclasses.replace(refusal, audioset=classes)
        self._observer.on_refusal(refusal)


def clip_windows(samples: Samples, window_length: int) -> NDArray[np.int16]:
    """Cut a whole clip into windows, as `earshot classify` and the trainer's evaluation do.

    Args:
        samples: shape (n,), int16, n at least 1.
        window_length: length of a window, samples.

    Returns:
        Shape (windows, window_length), int16. Zeros follow a clip that is shorter than a window. A longer clip
        is cut every half window, and its last window ends with the clip.
    """
    if len(samples) <= window_length:
        return np.pad(samples, (0, window_length - len(samples)))[np.newaxis]
    last = len(samples) - window_length
    starts = sorted({*range(0, last, window_length // 2), last})
    return np.stack([samples[start : start + window_length] for start in starts])


def classify_clip(
    samples: Samples, window_length: int, classify: Classify
) -> tuple[Probabilities, NDArray[np.float32] | None]:
    """Compute the mean scores of a clip's windows (see `clip_windows`).

    Args:
        samples: shape (n,), int16, n at least 1.
        window_length: length of a window, samples.
        classify: scores a window of a clip, from its samples.

    Returns:
        Mean scores, shape (labels,), float32; and the mean probabilities of AudioSet's classes, shape (527,), float32,
        or None without the AudioSet network.
    """
    results = [classify(window) for window in clip_windows(samples, window_length)]
    scores = np.mean([result.scores for result in results], axis=0, dtype=np.float32)
    audioset = [result.audioset for result in results if result.audioset is not None]
    classes = np.asarray(np.mean(audioset, axis=0, dtype=np.float32), np.float32) if audioset else None
    return np.asarray(scores, np.float32), classes


def loudest_dbfs(samples: Samples, sample_rate: int) -> float:
    """Compute the RMS level of a window's loudest 30 ms, dB relative to full scale."""
    block_length = round(BLOCK_SECONDS * sample_rate)
    whole = len(samples) // block_length * block_length
    blocks = samples[:whole].reshape(-1, block_length)
    return level_dbfs(blocks[blocks.std(axis=1, dtype=np.float32).argmax()])
