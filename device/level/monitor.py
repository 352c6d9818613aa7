"""Level monitor: passes a source's blocks on, and measures the level of each minute and of events."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from device.level.meter import LevelMeter, Steps
from device.level.minutes import MINUTE_SECONDS
from device.level.statistics import LevelStatistics, SoundLevel, decibels
from device.level.time_weighting import TimeWeighting
from device.types import Blocks, SourceLost

_BACKGROUND_SECONDS = 60.0
"""Time before an event from which its background is taken, s."""
_LEAST_BACKGROUND_SECONDS = 5.0
_BACKGROUND_PERCENT = 10.0
"""Percentile of the background: LA90, the level that is exceeded in 90 % of the time."""

OnMinute = Callable[[int, SoundLevel, LevelStatistics], None]
"""Function that receives the number of a minute (Unix seconds / 60), its levels and its statistics."""


@dataclass(frozen=True)
class SpanLevel:
    """Level of an event's span, dBFS(A).

    Attributes:
        laeq: equivalent level.
        lamax: highest time-weighted level.
        rise: LAeq minus the background, LA90 of the minute before the event, dB; None with less than 5 s of it.
    """

    laeq: float
    lamax: float
    rise: float | None


@dataclass(frozen=True)
class _Part:
    """Steps with their time.

    Attributes:
        start: Unix seconds.
        seconds: length of a step, s.
        a_squares: see `Steps`, float32.
        averages: see `Steps`, float32.
    """

    start: float
    seconds: float
    a_squares: NDArray[np.float32]
    averages: NDArray[np.float32]

    @property
    def end(self) -> float:
        return self.start + len(self.a_squares) * self.seconds

    def times(self) -> NDArray[np.float64]:
        """Return the middle of each step, Unix seconds."""
        return self.start + (np.arange(len(self.a_squares)) + 0.5) * self.seconds


class LevelMonitor:
    """Level of each minute, and of spans within the last minutes. Used from the thread of the pipeline.

    A minute is reported when it is over, and at a break of the source; then its other part is reported apart.

    Args:
        sample_rate: Hz, of the blocks.
        weighting: time weighting of LAmax and the percentiles.
        kept_seconds: longest span of `span_level`, s.
        utc: converts times of blocks to Unix seconds of the system clock.
        on_minute: receives the levels of each minute.
    """

    def __init__(
        self,
        sample_rate: int,
        weighting: TimeWeighting,
        kept_seconds: float,
        utc: Callable[[float], float],
        on_minute: OnMinute,
    ) -> None:
        self._sample_rate = sample_rate
        self._meter = LevelMeter(sample_rate, weighting)
        self._kept_seconds = kept_seconds + _BACKGROUND_SECONDS
        self._utc = utc
        self._on_minute = on_minute
        self._recent: deque[_Part] = deque()
        self._minute: int | None = None
        self._statistics = LevelStatistics()
        self._last: Blocks | None = None

    def measure(self, items: Iterable[Blocks | SourceLost]) -> Iterator[Blocks | SourceLost]:
        """Measure each block, and yield every item unchanged. The end of the items ends the last minute."""
        for item in items:
            self._take(item)
            yield item
        self._break()

    def span_level(self, start: float, end: float | None) -> SpanLevel | None:
        """Return the level of a span; None if less than one step of it was measured.

        Args:
            start: Unix seconds, in the time of the blocks.
            end: the same; None for now.
        """
        self._record(self._meter.drain())
        squares, averages = self._between(start, np.inf if end is None else end)
        if not len(squares):
            return None
        laeq = decibels(float(squares.mean()))
        _, before = self._between(start - _BACKGROUND_SECONDS, start)
        rise = None
        if len(before) * self._meter.step_seconds >= _LEAST_BACKGROUND_SECONDS:
            rise = laeq - decibels(float(np.percentile(before, _BACKGROUND_PERCENT)))
        return SpanLevel(laeq, decibels(float(averages.max())), rise)

    def recent_laeq(self, seconds: float) -> float | None:
        """Return the equivalent level of the last seconds of sound, dBFS(A); None if none was measured."""
        self._record(self._meter.drain())
        if not self._recent:
            return None
        start = self._recent[-1].end - seconds
        parts = takewhile(lambda part: part.end > start, reversed(self._recent))
        return decibels(float(np.concatenate([part.a_squares[part.times() >= start] for part in parts]).mean()))

    def _take(self, item: Blocks | SourceLost) -> None:
        if isinstance(item, SourceLost):
            self._break()
            return
        last = self._last
        if last is not None and item.position != last.end:
            self._record(self._meter.drain())
            self._meter.restart()
        self._last = item
        steps = self._meter.feed(item.samples)
        if len(steps.a_squares):  # most blocks only join a queue
            self._record(steps)

    def _break(self) -> None:
        """End the stream and the minute. What follows is measured anew."""
        self._record(self._meter.drain())
        self._meter.restart()
        self._last = None
        self._end_minute()

    def _record(self, steps: Steps) -> None:
        """Keep steps for events, and add them to their minute, or minutes."""
        if not len(steps.a_squares) or self._last is None:
            return
        seconds = len(steps.a_squares) * steps.seconds
        end = self._last.time + len(self._last.samples) / self._sample_rate - self._meter.waiting_seconds
        squares, averages = steps.a_squares.astype(np.float32), steps.averages.astype(np.float32)
        self._recent.append(_Part(end - seconds, steps.seconds, squares, averages))
        while self._recent[0].end < end - self._kept_seconds:
            self._recent.popleft()
        start = self._utc(end - seconds)
        while len(steps.a_squares):
            # A step belongs to the minute in which its middle lies.
            minute = int((start + steps.seconds / 2) // MINUTE_SECONDS)
            if minute != self._minute:
                self._end_minute()
                self._minute = minute
            rest = (minute + 1) * MINUTE_SECONDS - start
            part, steps = steps.split(max(1, round(rest / steps.seconds)))
            self._statistics.add(part)
            start += len(part.a_squares) * part.seconds

    def _end_minute(self) -> None:
        if self._minute is not None and (level := self._statistics.result()) is not None:
            self._on_minute(self._minute, level, self._statistics)
        self._minute, self._statistics = None, LevelStatistics()

    def _between(self, start: float, end: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the squares and averages of the steps of a span, each of shape (n,)."""
        squares, averages = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
        for part in self._recent:
            if part.end > start and part.start < end:
                times = part.times()
                inside = (times >= start) & (times < end)
                squares.append(part.a_squares[inside])
                averages.append(part.averages[inside])
        return np.concatenate(squares), np.concatenate(averages)
