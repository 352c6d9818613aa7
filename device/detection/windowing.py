"""Where the network looks: windows over the spans in which the gate is open."""

import sys
from collections.abc import Callable, Iterator

from device.types import Span, Window


class Windower:
    """Lays windows over what sounds: the first begins before the onset, others follow while the sound lasts.

    A sound that begins before the running window has ended belongs to the same sounding: it has the window
    already, or gets the next one.

    Args:
        window_length: samples in a window.
        hop_length: samples from one window to the next.
        pre_roll: samples of the first window that lie before the gate opened.
        stretch: gives the factor, at least 1, by which windows lie further apart now; it never leaves a gap.
    """

    def __init__(
        self, window_length: int, hop_length: int, pre_roll: int, stretch: Callable[[], float] = lambda: 1.0
    ) -> None:
        self._window_length = window_length
        self._hop_length = hop_length
        self._pre_roll = pre_roll
        self._stretch = stretch
        self._sound: Span | None = None
        self._position = 0
        self._next_start = 0
        self._covered_until = 0

    def update(self, span: Span | None, position: int) -> Iterator[Window | Span]:
        """Yield each window that is complete, and the sound itself when it is over.

        Args:
            span: what the gate said of the last block.
            position: the sample after the last block.
        """
        if span is not None:
            self._extend(span)
        self._position = position
        while self._sound is not None:
            if self._sound.end > self._covered_until:
                if position < self._next_start + self._window_length:
                    break
                yield self._next_window(self._sound)
            elif self._sound.is_open:
                break
            else:
                yield self._sound
                self._sound = None

    def flush(self, span: Span | None) -> Iterator[Window | Span]:
        """Yield what is begun, at the end of the stream; what its windows lack was never heard.

        Args:
            span: what the gate gave when it was closed.
        """
        yield from self.update(span, sys.maxsize)

    def _extend(self, span: Span) -> None:
        """Begin a sounding, or let the one at hand go on."""
        if self._sound is None:
            self._next_start = self._covered_until = span.start - self._pre_roll
            self._sound = span
            return
        paused = self._sound.end < self._position
        if paused and span.end > self._sound.end and self._sound.end <= self._covered_until:
            # All before the pause was seen: look at what comes now, its onset included.
            self._next_start = max(self._next_start, span.end - self._pre_roll)
        self._sound = Span(self._sound.start, span.end, self._sound.reason, span.is_open)

    def _next_window(self, sound: Span) -> Window:
        start, end = self._next_start, self._next_start + self._window_length
        stretched = min(round(self._stretch() * self._hop_length), self._window_length)
        hop_length = max(self._hop_length, stretched)
        self._next_start += hop_length
        self._covered_until = end
        return Window(start, end, sound, hop_length)
