"""Recordings of any length: classified sound by sound, or window by window, in constant memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.audio.resampling import BlockSplitter
from device.audio.ring_buffer import RingBuffer
from device.config.models import Config
from device.detection.gate import SoundGate
from device.detection.windowing import Windower
from device.model.bundle import Bundle
from device.model.clip_scoring import Classify
from device.model.scoring import Scorer
from device.types import UNKNOWN, GateReason, Probabilities, Samples, Span, Window, WindowScores


@dataclass(frozen=True)
class Segment:
    """Part of a recording, with its mean scores.

    Attributes:
        start: position of the first sample.
        end: position after the last sample.
        scores: shape (labels,), float32, 0 to 1.
        audioset: probabilities of AudioSet's classes, shape (527,), float32; None without the AudioSet network.
        gate: what opened the gate; None for a window, which does not depend on the gate.
        embeddings: embedding of each window, shape (length,), float32; None without the AudioSet network.
        weights: weight of each window in the means.
    """

    start: int
    end: int
    scores: Probabilities
    audioset: NDArray[np.float32] | None
    gate: GateReason | None = None
    embeddings: tuple[NDArray[np.float32] | None, ...] = ()
    weights: tuple[float, ...] = ()


def classify_windows(samples: Iterable[Samples], window_length: int, classify: Classify) -> Iterator[Segment]:
    """Yield each window of a recording: they follow one another, and the last one ends with the recording.

    Args:
        samples: parts of the recording, each of shape (n,), int16.
        window_length: length of a window, samples. Zeros follow a recording that is shorter.
        classify: scores a window of a clip, from its samples.
    """

    def segment(window: Samples, start: int, end: int) -> Segment:
        result = classify(window)
        return Segment(start, end, result.scores, result.audioset, None, (result.embedding,), (1.0,))

    start, kept = 0, np.empty(0, np.int16)
    for part in samples:
        kept = np.concatenate([kept, part])
        while len(kept) > 2 * window_length:  # the last window may begin before the end of the one before it
            yield segment(kept[:window_length], start, start + window_length)
            start, kept = start + window_length, kept[window_length:]
    if len(kept) > window_length:
        yield segment(kept[:window_length], start, start + window_length)
    end = start + len(kept)
    last = kept[-window_length:]
    yield segment(np.pad(last, (0, window_length - len(last))), end - len(last), end)


class SoundClassifier:
    """Classifier of the sounds of one recording: each is a span of the gate, scored like a clip of its own.

    Windows follow one another without overlap. Spans that share a window are one sound, as in the daemon. A probe that
    finds `unknown` is no sound.

    Args:
        config: gate, pre-roll, and the longest event, at which a longer sound is divided.
        bundle: sample rate, length of a window, and the rule for `unknown`.
        classify: scores a window of a clip, from its samples.
    """

    def __init__(self, config: Config, bundle: Bundle, classify: Classify) -> None:
        rate, length = bundle.sample_rate, bundle.window_length
        pre_roll = round(config.window.pre_roll_seconds * rate)
        self._rate, self._maximum = rate, round(config.events.maximum_seconds * rate)
        self._classify = classify
        self._scorer = Scorer(bundle.manifest)
        self._splitter, self._gate = BlockSplitter(rate), SoundGate(config.gate, rate)
        self._windower = Windower(length, length, pre_roll)
        self._ring = RingBuffer(2 * length + pre_roll + self._gate.lookback + self._splitter.block_length)
        self._windows: list[tuple[Window, WindowScores]] = []
        self._divided_at = 0

    def sounds(self, samples: Iterable[Samples]) -> Iterator[Segment]:
        """Yield the sounds of a recording.

        Args:
            samples: parts of the recording, each of shape (n,), int16.
        """
        for part in samples:
            for block in self._splitter.feed(part):
                yield from self._process(block)
        for block in self._splitter.flush():
            yield from self._process(block)
        yield from self._track(self._windower.flush(self._gate.close()))

    def _process(self, samples: Samples) -> Iterator[Segment]:
        position = self._ring.end
        self._ring.write(samples, position)
        yield from self._track(self._windower.update(self._gate.update(samples, position), self._ring.end))

    def _track(self, due: Iterable[Window | Span]) -> Iterator[Segment]:
        """Classify each complete window, and yield each sound that is over."""
        for item in due:
            if isinstance(item, Window):
                result = self._classify(self._ring.read(item.start, item.end))
                self._windows.append((item, result))
                sound = self._sound(item.span, item.end)
                if item.end - sound.start >= self._maximum:
                    yield from self._end(sound)
            elif self._windows:
                yield from self._end(self._sound(item, item.end))

    def _sound(self, span: Span, end: int) -> Segment:
        """Return the sound so far. A window counts by the time for which it contains the sound."""
        start = max(span.start, self._divided_at)
        weights = tuple(float(max(min(each.end, end) - max(each.start, start), 1)) for each, _ in self._windows)
        results = [result for _, result in self._windows]
        scores = np.average([result.scores for result in results], axis=0, weights=weights)
        classes = [result.audioset for result in results if result.audioset is not None]
        audioset = np.average(classes, axis=0, weights=weights).astype(np.float32) if classes else None
        embeddings = tuple(result.embedding for result in results)
        return Segment(start, end, scores.astype(np.float32), audioset, span.reason, embeddings, weights)

    def _end(self, sound: Segment) -> Iterator[Segment]:
        self._windows.clear()
        self._divided_at = sound.end
        if sound.gate != "probe" or self._scorer.decide(sound.scores) != UNKNOWN:
            yield sound
