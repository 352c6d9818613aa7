"""Windowing: positions of the windows over the spans in which the gate is open."""

import sys
from collections.abc import Callable, Iterator, Sequence

from device.types import Span, Window


class Windower:
    """Windows over a span: the first begins before the onset, others follow with overlap while the sound lasts.

    A span that begins before the last window has ended is joined to the span before: its onset lies in that window.
    Early looks begin with the first window and end before it. A probe has none, because its sound began long before.

    Args:
        window_length: samples in a window.
        hop_length: samples from the start of one window to the start of the next.
        pre_roll: samples of the first window that lie before the gate opened.
        stretch: returns the current factor on the hop, at least 1; windows never leave a gap between them. Above 1,
            there are no early looks.
        looks: samples from the onset to the end of each early look, ascending.
    """

    def __init__(
        self,
        window_length: int,
        hop_length: int,
        pre_roll: int,
        stretch: Callable[[], float] = lambda: 1.0,
        looks: Sequence[int] = (),
    ) -> None:
        self._window_length = window_length
        self._hop_length = hop_length
        self._pre_roll = pre_roll
        self._stretch = stretch
        self._looks = tuple(looks)
        self._look_ends: list[int] = []
        self._span: Span | None = None
        self._position = 0
        self._next_start = 0
        self._covered_until = 0
        self._resumed_at: int | None = None

    @property
    def is_idle(self) -> bool:
        """State of the windower: True without an open span, and so without a window to come."""
        return self._span is None

    @property
    def due(self) -> int:
        """Position before which nothing is due, however the sound goes on; 0 where each block matters.

        It is `sys.maxsize` while nothing sounds. Each block matters once windows cover all sound: the next one extends
        the sound, or is a pause.
        """
        if self._span is None:
            return sys.maxsize
        if self._span.end <= self._covered_until:
            return 0
        return min([self._next_start + self._window_length, *self._look_ends])

    def update(self, span: Span | None, position: int) -> Iterator[Window | Span]:
        """Yield each complete window, and the joined span when it is over.

        Args:
            span: the gate's span after the last block; None while the gate is shut.
            position: position after the last block.
        """
        if span is not None:
            self._join(span)
        self._position = position
        while self._span is not None:
            if self._span.end > self._covered_until:
                if position < self._next_start + self._window_length:
                    yield from self._due_look(self._span)
                    break
                yield self._next_window(self._span)
            elif self._span.is_open:
                break
            else:
                yield self._span
                self._span = None

    def flush(self, span: Span | None) -> Iterator[Window | Span]:
        """Yield the remaining windows and the span, at the end of the stream. Windows may reach beyond that end.

        Args:
            span: the span that the gate returned when it was closed; None if it was shut.
        """
        yield from self.update(span, sys.maxsize)

    def _join(self, span: Span) -> None:
        """Begin with a new span, or extend the current one to its end."""
        if self._span is None:
            self._next_start = self._covered_until = span.start - self._pre_roll
            self._span, self._resumed_at = span, None
            self._look_ends = [] if span.reason == "probe" else [span.start + length for length in self._looks]
            return
        paused = self._span.end < self._position
        is_covered = paused and span.end > self._span.end and self._span.end <= self._covered_until
        if is_covered and span.end - self._pre_roll > self._next_start:
            # Windows cover all sound before the pause: the next one begins before the new onset.
            self._next_start, self._resumed_at = span.end - self._pre_roll, span.end
        self._span = Span(self._span.start, span.end, self._span.reason, span.is_open)

    def _due_look(self, span: Span) -> Iterator[Window]:
        """Yield the early look that is complete; the last one, if the gate opened so late that several are."""
        due = [end for end in self._look_ends if end <= self._position]
        self._look_ends = self._look_ends[len(due) :]
        if due and self._stretch() == 1:
            yield Window(self._next_start, due[-1], span, self._hop_length, is_early=True)

    def _next_window(self, span: Span) -> Window:
        self._look_ends = []
        start, end = self._next_start, self._next_start + self._window_length
        stretched = min(round(self._stretch() * self._hop_length), self._window_length)
        hop_length = max(self._hop_length, stretched)
        self._next_start += hop_length
        self._covered_until = end
        resumed_at, self._resumed_at = self._resumed_at, None
        return Window(start, end, span, hop_length, resumed_at)
