"""Blocks to events: the whole of listening, on one screen. Pure: no threads, no clock, no network."""

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
from device.model.features import FeatureConfig, LogMel, Samples, level_dbfs, log_mel
from device.types import BLOCK_SECONDS, Block, Event, Look, Observer, Probabilities, SourceLost, Span, Window

Classify = Callable[[LogMel], Probabilities]


class Pipeline:
    """Joins ring buffer, gate, windows, features, network and events.

    Args:
        config: gate, window and events are used.
        bundle: labels, features, thresholds and the rule for `unknown`.
        classify: log-mel (mel_bands, frames) -> scores (labels,).
        observer: told what is heard and what becomes no event.
        stretch: gives the factor, at least 1, by which windows and probes lie further apart now.
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
        self._hop_length = hop_length = round(config.window.hop_seconds * rate)
        pre_roll = round(config.window.pre_roll_seconds * rate)
        self._gate = SoundGate(config.gate, rate, stretch)
        reach = max(hop_length, pre_roll + self._gate.lookback)
        block_length = round(BLOCK_SECONDS * rate)
        kept_blocks = -(-(self._features.window_length + reach) // block_length) + 1
        self._ring = RingBuffer(kept_blocks * block_length)
        self._rises: deque[tuple[int, float]] = deque(maxlen=kept_blocks)
        self._windower = Windower(self._features.window_length, hop_length, pre_roll, stretch)
        self._tracker = EventTracker(
            config.events,
            labels=bundle.labels,
            bundle_thresholds={label: t.threshold for label, t in bundle.manifest.thresholds.items()},
            live=bundle.live,
            decide=bundle.decide,
            sample_rate=rate,
            refuse=self._observer.refused,
        )

    @property
    def thresholds(self) -> dict[str, float]:
        """Confidence from which each label becomes an event."""
        return self._tracker.thresholds

    def set_threshold(self, label: str, threshold: float) -> None:
        """Change one, from the next window on; any thread.

        Args:
            label: one of the bundle's.
            threshold: 0 to 1.
        """
        self._tracker.set_threshold(label, threshold)

    def run(self, source: Iterable[Block | SourceLost]) -> Iterator[Event]:
        """Listen until the source ends; what goes on when it ends or breaks is ended too."""
        block: Block | None = None
        for item in source:
            if isinstance(item, SourceLost):
                yield from self._end(block)
            else:
                if item.position - self._ring.end > self._hop_length:  # more was lost than a window can bridge
                    yield from self._end(block)
                block = item
                self._ring.write(block.samples, block.position)
                span = self._gate.update(block)
                if span is not None:
                    self._rises.append((block.position, self._gate.rise_db))
                self._observer.listened(
                    len(block.samples) / self._features.sample_rate, span.reason if span and span.is_open else None
                )
                yield from self._judge(self._windower.update(span, block.end), block)
                self._gate.hold(self._tracker.going_on)
        yield from self._end(block)

    def _end(self, block: Block | None) -> Iterator[Event]:
        """End what goes on, as nothing more is heard after `block`."""
        if block is not None:
            yield from self._judge(self._windower.flush(self._gate.close()), block)
            self._gate.hold(False)

    def _judge(self, due: Iterable[Window | Span], block: Block) -> Iterator[Event]:
        """Classify the windows that are due and tell the tracker; `block` ties positions to time."""

        def time_of(position: int) -> float:
            return block.time + (position - block.position) / self._features.sample_rate

        for item in due:
            if isinstance(item, Window):
                samples = self._ring.read(item.start, item.end)
                seen = log_mel(samples, self._features)
                scores = self._classify(seen)
                rise_db = max((rise for at, rise in self._rises if item.start <= at < item.end), default=0.0)
                self._observer.classified(
                    Look(item.start, time_of(item.start), samples, seen, scores, item.sound.start, rise_db)
                )
                level_dbfs = loudest_dbfs(samples, self._features)
                yield from self._tracker.update(item, scores, rise_db, level_dbfs, time_of)
            else:
                yield from self._tracker.close(item, time_of)


def clip_windows(samples: Samples, features: FeatureConfig) -> NDArray[np.int16]:
    """Lay windows over a whole clip, as `earshot classify` and the trainer's evaluation do.

    Args:
        samples: shape (n,), int16, n at least 1.
        features: gives the window's length.

    Returns:
        Shape (windows, window_length), int16. A clip shorter than a window is followed by zeros; a longer one
        is cut every half window, and the last window ends where the clip does.
    """
    length = features.window_length
    if len(samples) <= length:
        return np.pad(samples, (0, length - len(samples)))[np.newaxis]
    starts = sorted({*range(0, len(samples) - length, length // 2), len(samples) - length})
    return np.stack([samples[start : start + length] for start in starts])


def classify_clip(samples: Samples, features: FeatureConfig, classify: Classify) -> Probabilities:
    """Mean of the scores of a clip's windows, shape (labels,), float32 (see `clip_windows`)."""
    windows = clip_windows(samples, features)
    scores = np.mean([classify(log_mel(window, features)) for window in windows], axis=0, dtype=np.float32)
    return np.asarray(scores, np.float32)


def loudest_dbfs(samples: Samples, features: FeatureConfig) -> float:
    """RMS level of a window's loudest 30 ms, dB relative to full scale."""
    block_length = round(BLOCK_SECONDS * features.sample_rate)
    whole = len(samples) // block_length * block_length
    return max(level_dbfs(block) for block in samples[:whole].reshape(-1, block_length))
