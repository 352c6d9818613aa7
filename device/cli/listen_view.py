"""What `earshot listen` shows, as lines of text: level, gate and why, what the network saw, and what it made of it."""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

import numpy as np

from device.cli.bars import QUIETEST_DBFS, bar, level_bar
from device.mqtt.spectrogram_image import palette
from device.types import ClassifiedWindow, Event, GateReason, LogMel, Observer, Probabilities

_LABELS = 5
_EVENTS = 5
_NAME_COLUMNS = 18
_PICTURE_ROWS = 20
_RESET = "\033[0m"
_UPPER_HALF = "\u2580"
"""Fills the upper half of a character in the foreground's colour: two pixels in one."""


class ListenView(Observer):
    """Takes note of what is heard, and draws it in as much room as there is.

    Args:
        name: of what is listened to.
        labels: of the bundle, in the order of the scores.
        live: the bundle's; from the scores of a clip to those that thresholds are held against.

    Attributes:
        thresholds: confidence from which each label becomes an event, as the pipeline has it.
    """

    def __init__(self, name: str, labels: tuple[str, ...], live: Callable[[Probabilities], Probabilities]) -> None:
        self._name = name
        self._labels = labels
        self._live = live
        self.thresholds: Mapping[str, float] = dict.fromkeys(labels, 1.0)
        self._message = "nothing was heard yet"
        self._level_dbfs = QUIETEST_DBFS
        self._gate: GateReason | None = None
        self._gate_seconds = 0.0
        self._seen: LogMel | None = None
        self._scores: Probabilities = np.zeros(len(labels), np.float32)
        self._events: deque[str] = deque(maxlen=_EVENTS)

    def on_source_state(self, _state: str, message: str) -> None:
        """The source is in another state."""
        self._message = message

    def add_level(self, level_dbfs: float) -> None:
        """A block was this loud; the loudest since the last look is shown."""
        self._level_dbfs = max(self._level_dbfs, level_dbfs)

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """See `Observer`."""
        self._gate_seconds = self._gate_seconds + seconds if gate == self._gate else 0.0
        self._gate = gate

    def on_window(self, window: ClassifiedWindow) -> None:
        """See `Observer`."""
        self._seen, self._scores = window.log_mel, self._live(window.scores)

    def on_event(self, event: Event) -> None:
        """See `Observer`."""
        ended = event.end_time is not None
        when = datetime.fromtimestamp(event.start_time if event.end_time is None else event.end_time)
        self._events.append(
            f"{when:%H:%M:%S}  {'end  ' if ended else 'start'}  {event.label:<{_NAME_COLUMNS}} {event.confidence:4.0%}"
        )

    def lines(self, columns: int, rows: int) -> list[str]:
        """What fits into so much room: at most `rows` lines, none wider than `columns` characters."""
        width = max(columns - 2 * _NAME_COLUMNS, 4)
        level, self._level_dbfs = self._level_dbfs, QUIETEST_DBFS
        gate = f"open ({self._gate})" if self._gate else "shut"
        head = [
            f"{self._name}: {self._message}",
            "",
            f"level  {level_bar(level, width)} {level:4.0f} dBFS",
            f"gate   {gate} for {self._gate_seconds:.1f} s",
        ]
        best = sorted(range(len(self._labels)), key=lambda number: -self._scores[number])[:_LABELS]
        foot = [*(self._label(self._labels[number], float(self._scores[number]), width) for number in best), ""]
        foot += self._events or ["no event yet"]
        room = min(rows - len(head) - len(foot) - 2, _PICTURE_ROWS)
        picture = ["", *_picture(self._seen, columns, room), ""] if self._seen is not None and room > 1 else [""]
        head, foot = ([line[:columns] for line in part] for part in (head, foot))
        return [*head, *picture, *foot][:rows]

    def _label(self, label: str, score: float, width: int) -> str:
        mark = "*" if score >= self.thresholds[label] else " "
        return f"{label[:_NAME_COLUMNS]:<{_NAME_COLUMNS}} {bar(score, width)} {score:4.0%} {mark}"


def _picture(log_mel: LogMel, columns: int, rows: int) -> list[str]:
    """A log-mel in 256 colours, frequency up, time to the right: two pixels in each character."""
    bands = np.linspace(len(log_mel) - 1, 0, 2 * rows).round().astype(int)
    frames = np.linspace(0, log_mel.shape[1] - 1, columns).round().astype(int)
    levels = np.rint((np.clip(log_mel, -1, 1) + 1) * 127.5).astype(np.uint8)[np.ix_(bands, frames)]
    # The terminal's colours from 16 on: six steps of red, green and blue each.
    steps = np.rint(palette() / 51.0).astype(int)
    colours = (16 + steps @ [36, 6, 1])[levels]
    return [
        "".join(f"\033[38;5;{high};48;5;{low}m{_UPPER_HALF}" for high, low in zip(upper, lower, strict=True)) + _RESET
        for upper, lower in zip(colours[::2], colours[1::2], strict=True)
    ]
