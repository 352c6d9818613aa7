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
from device.detection.windowing import Windower
from device.model.bundle import Bundle
from device.model.scoring import Scorer, likeliest_classes
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
_REFUSAL_CLASSES = 3
"""Number of AudioSet classes in a refusal."""


class Pipeline:
    """Joins ring buffer, gate, windows, networks and events.

    Args:
        config: of gate, window and events.
        bundle: labels, length of a window, thresholds and the rule for `unknown`.
        classify: scores a window of live sound, from its samples.
        observer: called for each block, classified window, refusal and event.
        stretch: returns the current factor of load shedding, at least 1, for hops and the pause between probes.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        classify: Classify,
        observer: Observer | None = None,
        stretch: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._window_length, self._classes = bundle.window_length, bundle.audioset_classes
        self._classify = classify
        self._observer = observer or Observer()
        self._sample_rate = rate = bundle.sample_rate
        self._last: ClassifiedWindow | None = None
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
            bundle_thresholds={label: t.threshold for label, t in bundle.manifest.thresholds.items()},
            scorer=Scorer(bundle.manifest),
            sample_rate=rate,
            on_refusal=self._report_refusal,
        )

    @property
    def thresholds(self) -> dict[str, float]:
        """Confidence from which each label becomes an event."""
        return self._tracker.thresholds

    def set_threshold(self, label: str, threshold: float) -> None:
        """Change the threshold of one label, from the next window on; any thread.

        Args:
            label: one of the bundle's.
            threshold: 0 to 1.
        """
        self._tracker.set_threshold(label, threshold)

    def run(self, source: Iterable[Block | SourceLost]) -> Iterator[Event]:
        """Yield the events of a source. Its end, or a break in it, ends the events that are going on."""
        last: Block | None = None
        for item in source:
            if isinstance(item, SourceLost):
                yield from self._end_span(last)
                continue
            if item.position - self._ring.end > self._hop_length:  # more was lost than a window can bridge
                yield from self._end_span(last)
            last = item
            yield from self._process(item)
        yield from self._end_span(last)

    def _process(self, block: Block) -> Iterator[Event]:
        """Take one block through gate, windows and events."""
        self._ring.write(block.samples, block.position)
        span = self._gate.update(block)
        if span is not None:
            self._rises.append((block.position, self._gate.rise_db))
        seconds = len(block.samples) / self._sample_rate
        self._observer.on_block(seconds, span.reason if span and span.is_open else None)
        yield from self._track(self._windower.update(span, block.end), block)
        self._gate.set_event_active(self._tracker.has_active_events)

    def _end_span(self, last: Block | None) -> Iterator[Event]:
        """Close the gate after the last block, and end the events that are going on."""
        if last is not None:
            yield from self._track(self._windower.flush(self._gate.close()), last)
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
                events = self._tracker.update(item, window.scores, window.rise_db, level, time_of)
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
    return max(level_dbfs(block) for block in samples[:whole].reshape(-1, block_length))
