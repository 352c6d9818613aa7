"""Live view of `earshot listen` as text: level, gate, spectrogram of the last window, top labels, events."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from device.cli.bars import MINIMUM_DBFS, bar, level_bar
from device.model.scoring import likeliest_classes
from device.model.taught import NOTHING_TAUGHT
from device.mqtt.spectrogram_image import palette
from device.types import ClassifiedWindow, Event, GateReason, LogMel, Observer, Probabilities

_TOP_LABELS, _LAST_EVENTS, _TOP_CLASSES = 5, 5, 3
"""Number of labels, of events and of AudioSet classes in the view."""
_NAME_COLUMNS = 18
"""Columns of a label; a longer one is cut."""
_SPECTROGRAM_ROWS = 20
"""Most rows of the spectrogram, two pixels each."""
_RESET = "\033[0m"
_SHADES = " .:-=+*#%@"
"""Characters from dark to bright, for a terminal without colour."""
_UPPER_HALF = "\u2580"
"""Character with the foreground's color in its upper half: two pixels in one."""


class ListenView(Observer):
    """Observer that renders the state of the pipeline as lines for a terminal of any size.

    Args:
        name: name of the source.
        labels: labels of the bundle, in the order of the scores.
        live_scores: converts the scores of one window (labels,) to live scores, which thresholds apply to.

    Attributes:
        thresholds: confidence from which each label becomes an event.
        classes: names of AudioSet's classes; None for a bundle without the AudioSet network.
        taught: detectors of taught labels, whose probabilities stand beside the scores.
        color: whether the spectrogram has colours; otherwise it has characters from dark to bright.
    """

    def __init__(
        self, name: str, labels: tuple[str, ...], live_scores: Callable[[Probabilities], Probabilities]
    ) -> None:
        self._name = name
        self._labels = labels
        self._live_scores = live_scores
        self.thresholds: Mapping[str, float] = dict.fromkeys(labels, 1.0)
        self.classes: Sequence[str] | None = None
        self.taught = NOTHING_TAUGHT
        self.color = True
        self._audioset: tuple[tuple[str, float], ...] = ()
        self._message = "no sound was received yet"
        self._level_dbfs = MINIMUM_DBFS
        self._gate: GateReason | None = None
        self._gate_seconds = 0.0
        self._log_mel: LogMel | None = None
        self._scores: dict[str, float] = dict.fromkeys(labels, 0.0)
        self._events: deque[str] = deque(maxlen=_LAST_EVENTS)

    def on_source_state(self, _state: str, message: str) -> None:
        """Store the message of a new state of the source."""
        self._message = message

    def record_level(self, level_dbfs: float) -> None:
        """Record the level of a block; the view shows the loudest since the last rendering."""
        self._level_dbfs = max(self._level_dbfs, level_dbfs)

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """See `Observer`."""
        self._gate_seconds = self._gate_seconds + seconds if gate == self._gate else 0.0
        self._gate = gate

    def on_window(self, window: ClassifiedWindow) -> None:
        """See `Observer`."""
        scores = zip(self._labels, self._live_scores(window.scores).tolist(), strict=True)
        self._log_mel, self._scores = window.log_mel, dict(scores)
        if self.taught.labels:
            self._scores |= self.taught.probabilities([window.embedding])
        self._audioset = likeliest_classes(self.classes, window.audioset, _TOP_CLASSES)

    def on_event(self, event: Event) -> None:
        """See `Observer`."""
        ended = event.end_time is not None
        when = datetime.fromtimestamp(event.start_time if event.end_time is None else event.end_time)
        self._events.append(
            f"{when:%H:%M:%S}  {'end  ' if ended else 'start'}  {event.label:<{_NAME_COLUMNS}} {event.confidence:4.0%}"
        )

    def render(self, columns: int, rows: int) -> list[str]:
        """Return the view as at most `rows` lines, each at most `columns` characters wide."""
        width = max(columns - 2 * _NAME_COLUMNS, 4)
        level, self._level_dbfs = self._level_dbfs, MINIMUM_DBFS
        gate = f"open ({self._gate})" if self._gate else "shut"
        head = [
            f"{self._name}: {self._message}",
            "",
            f"level  {level_bar(level, width)} {level:4.0f} dBFS",
            f"gate   {gate} for {self._gate_seconds:.1f} s",
        ]
        top = sorted(self._scores, key=lambda label: -self._scores[label])[:_TOP_LABELS]
        foot = [*(self._label_line(label, self._scores[label], width) for label in top), ""]
        foot += self._events or ["no event yet"]
        if self._audioset and len(head) + len(foot) + 1 < rows:
            names = (f"{name} {probability:.0%}" for name, probability in self._audioset)
            foot.insert(len(top), f"AudioSet: {', '.join(names)}")
        spectrogram_rows = min(rows - len(head) - len(foot) - 2, _SPECTROGRAM_ROWS)
        spectrogram = (
            ["", *self._render_spectrogram(self._log_mel, columns, spectrogram_rows), ""]
            if self._log_mel is not None and spectrogram_rows > 1
            else [""]
        )
        head, foot = ([line[:columns] for line in part] for part in (head, foot))
        return [*head, *spectrogram, *foot][:rows]

    def _label_line(self, label: str, score: float, width: int) -> str:
        mark = "*" if score >= self.thresholds[label] else " "
        return f"{label[:_NAME_COLUMNS]:<{_NAME_COLUMNS}} {bar(score, width)} {score:4.0%} {mark}"

    def _render_spectrogram(self, log_mel: LogMel, columns: int, rows: int) -> list[str]:
        """Render a log-mel, frequency up, time to the right."""
        if self.color:
            return _paint(_resize(log_mel, columns, 2 * rows))
        shades = np.array(list(_SHADES))[np.rint(_resize(log_mel, columns, rows) * (len(_SHADES) - 1)).astype(int)]
        return ["".join(row) for row in shades]


def _resize(log_mel: LogMel, columns: int, rows: int) -> NDArray[np.float32]:
    """Return levels of 0 to 1, shape (rows, columns), the highest band first."""
    bands = np.linspace(len(log_mel) - 1, 0, rows).round().astype(int)
    frames = np.linspace(0, log_mel.shape[1] - 1, columns).round().astype(int)
    levels: NDArray[np.float32] = (np.clip(log_mel, -1, 1)[np.ix_(bands, frames)] + 1) / 2
    return levels


def _paint(levels: NDArray[np.float32]) -> list[str]:
    """Render levels of 0 to 1, shape (2 * rows, columns), in 256 colors, two pixels a character."""
    # The terminal's colors from 16 on are a cube with six steps each of red, green and blue.
    steps = np.rint(palette() / 51.0).astype(int)
    colors = (16 + steps @ [36, 6, 1])[np.rint(levels * 255).astype(np.uint8)]
    return [
        "".join(f"\033[38;5;{high};48;5;{low}m{_UPPER_HALF}" for high, low in zip(upper, lower, strict=True)) + _RESET
        for upper, lower in zip(colors[::2], colors[1::2], strict=True)
    ]
