"""Pipeline from blocks to events: gate, window, log-mel, network, event tracker.

It starts no thread, reads no clock and opens no connection: the same blocks give the same events.
"""

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
from device.model.features import FeatureConfig, log_mel
from device.model.scoring import Scorer
from device.types import (
    BLOCK_SECONDS,
    Block,
    ClassifiedWindow,
    Event,
    LogMel,
    Observer,
    Probabilities,
    Samples,
    SourceLost,
    Span,
    Window,
    level_dbfs,
)

Classify = Callable[[LogMel], Probabilities]


class Pipeline:
    """Joins ring buffer, gate, windows, features, network and events.

    Args:
        config: of gate, window and events.
        bundle: labels, features, thresholds and the rule for `unknown`.
        classify: log-mel (mel_bands, frames) -> scores (labels,).
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
        self._features = bundle.features
        self._classify = classify
        self._observer = observer or Observer()
        rate = self._features.sample_rate
        self._hop_length = round(config.window.hop_seconds * rate)
        pre_roll = round(config.window.pre_roll_seconds * rate)
        self._gate = SoundGate(config.gate, rate, stretch)
        reach = max(self._hop_length, pre_roll + self._gate.lookback)
        block_length = round(BLOCK_SECONDS * rate)
        kept_blocks = -(-(self._features.window_length + reach) // block_length) + 1
        self._ring = RingBuffer(kept_blocks * block_length)
        self._rises: deque[tuple[int, float]] = deque(maxlen=kept_blocks)
        self._windower = Windower(self._features.window_length, self._hop_length, pre_roll, stretch)
        self._tracker = EventTracker(
            config.events,
            bundle_thresholds={label: t.threshold for label, t in bundle.manifest.thresholds.items()},
            scorer=Scorer(bundle.manifest),
            sample_rate=rate,
            on_refusal=self._observer.on_refusal,
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
        seconds = len(block.samples) / self._features.sample_rate
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
            return block.time + (position - block.position) / self._features.sample_rate

        for item in due:
            if isinstance(item, Window):
                seen = self._classify_window(item, time_of(item.start))
                self._observer.on_window(seen)
                level = loudest_dbfs(seen.samples, self._features)
                events = self._tracker.update(item, seen.scores, seen.rise_db, level, time_of)
            else:
                events = self._tracker.close(item, time_of)
            for event in events:
                self._observer.on_event(event)
                yield event

    def _classify_window(self, window: Window, start_time: float) -> ClassifiedWindow:
        samples = self._ring.read(window.start, window.end)
        features = log_mel(samples, self._features)
        scores = self._classify(features)
        rise_db = max((rise for at, rise in self._rises if window.start <= at < window.end), default=0.0)
        return ClassifiedWindow(window.start, start_time, samples, features, scores, window.span.start, rise_db)


def clip_windows(samples: Samples, features: FeatureConfig) -> NDArray[np.int16]:
    """Cut a whole clip into windows, as `earshot classify` and the trainer's evaluation do.

    Args:
        samples: shape (n,), int16, n at least 1.
        features: gives the window's length.

    Returns:
        Shape (windows, window_length), int16. Zeros follow a clip that is shorter than a window. A longer clip
        is cut every half window, and its last window ends with the clip.
    """
    length = features.window_length
    if len(samples) <= length:
        return np.pad(samples, (0, length - len(samples)))[np.newaxis]
    starts = sorted({*range(0, len(samples) - length, length // 2), len(samples) - length})
    return np.stack([samples[start : start + length] for start in starts])


def classify_clip(samples: Samples, features: FeatureConfig, classify: Classify) -> Probabilities:
    """Compute the mean scores of a clip's windows, shape (labels,), float32 (see `clip_windows`)."""
    windows = clip_windows(samples, features)
    scores = np.mean([classify(log_mel(window, features)) for window in windows], axis=0, dtype=np.float32)
    return np.asarray(scores, np.float32)


def loudest_dbfs(samples: Samples, features: FeatureConfig) -> float:
    """Compute the RMS level of a window's loudest 30 ms, dB relative to full scale."""
    block_length = round(BLOCK_SECONDS * features.sample_rate)
    whole = len(samples) // block_length * block_length
    return max(level_dbfs(block) for block in samples[:whole].reshape(-1, block_length))
