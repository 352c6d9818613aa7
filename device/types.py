"""Plain types that the stages hand to one another. No stage imports another; all may import this."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from device.model.features import LogMel, Samples

GateReason = Literal["vad", "level", "probe"]

BLOCK_SECONDS = 0.030
"""Length of a block: the longest that webrtcvad takes."""

Probabilities = NDArray[np.float32]
"""Shape (labels,), float32, in the order of the bundle's labels; sums to at most 1."""

UNKNOWN = "unknown"
"""The decision for a sound that is none of the bundle's labels. Never a label itself."""


@dataclass(frozen=True)
class Block:
    """30 ms of sound, as a source yields it.

    Attributes:
        samples: shape (block_length,), int16, mono, full scale 32768.
        position: absolute number of the first sample since the source was opened. Positions go on
            across a gap, so a jump between blocks is lost audio.
        time: when the first sample sounded, in Unix seconds.
    """

    samples: Samples
    position: int
    time: float

    @property
    def end(self) -> int:
        """Absolute number of the sample after the last."""
        return self.position + len(self.samples)


@dataclass(frozen=True)
class SourceLost:
    """A source says that its stream broke: what sounds is over, as far as anyone can tell.

    Attributes:
        position: the sample after the last that was heard.
    """

    position: int


@dataclass(frozen=True)
class Span:
    """A stretch in which the gate is open, in absolute sample positions.

    Attributes:
        start: first sample of the block that began to sound.
        end: the sample after the last block that sounded so far.
        reason: what opened the gate.
        is_open: whether the gate is still open: it stays so for a hang-over after the sound.
    """

    start: int
    end: int
    reason: GateReason
    is_open: bool


@dataclass(frozen=True)
class Window:
    """Where one classification looks, in absolute sample positions.

    Attributes:
        start: first sample; may lie before the stream's first (then zeros stand for what was not heard).
        end: the sample after the last.
        sound: what sounds in it, as far as it was known when the window was complete.
        hop_length: samples from its start to that of the next window.
    """

    start: int
    end: int
    sound: Span
    hop_length: int


@dataclass(frozen=True)
class Event:
    """One message about one sound: its start, or its end.

    Attributes:
        type: "start" or "end".
        event_id: UUIDv7 that the start and the end share.
        label: one of the bundle's labels.
        confidence: calibrated probability of `label`, 0 to 1.
        scores: calibrated probability of each of the bundle's labels.
        start_time: Unix seconds.
        end_time: Unix seconds; None in a start message.
        level_dbfs: RMS level of the loudest 30 ms so far, dB relative to full scale, at most 0.
        gate: what opened the gate.
    """

    type: Literal["start", "end"]
    event_id: str
    label: str
    confidence: float
    scores: dict[str, float]
    start_time: float
    end_time: float | None
    level_dbfs: float
    gate: GateReason


RefusalReason = Literal["unknown", "below_threshold", "cooling_down", "maximum_duration", "quiet_hours"]


@dataclass(frozen=True)
class Refusal:
    """A label that a window was judged to hold, or came nearest to, and that became no event.

    Attributes:
        reason: why not.
        label: one of the bundle's labels.
        confidence: calibrated probability of `label`, 0 to 1.
        threshold: confidence from which it would have become an event.
        time: end of the window, Unix seconds.
    """

    reason: RefusalReason
    label: str
    confidence: float
    threshold: float
    time: float


@dataclass(frozen=True)
class Look:
    """One classification: what the network saw, and what it made of it.

    Attributes:
        start: absolute position of the window's first sample; below 0 where zeros stand before the stream.
        start_time: when that sample sounded, Unix seconds.
        samples: shape (window_length,), int16.
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].
        scores: shape (labels,), float32, 0 to 1: of this window alone, as if it were a clip (see `Bundle.live`).
        sound_start: position at which the gate opened.
        rise_db: highest rise above the noise floor in it.
    """

    start: int
    start_time: float
    samples: Samples
    log_mel: LogMel
    scores: Probabilities
    sound_start: int = 0
    rise_db: float = 0.0


class Observer:
    """Told what is done with what is heard, on the pipeline's thread. This one takes no note."""

    def listened(self, seconds: float, gate: GateReason | None) -> None:
        """A block of so many seconds was heard; `gate` says why the gate is open, None that it is shut."""

    def classified(self, look: Look) -> None:
        """A window was classified; the messages that it causes follow."""

    def refused(self, refusal: Refusal) -> None:
        """A window was classified, and a label of it became no event."""

    def heard(self, event: Event) -> None:
        """An event began or ended."""


class Observers(Observer):
    """Several observers, told in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def listened(self, seconds: float, gate: GateReason | None) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.listened(seconds, gate)

    def classified(self, look: Look) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.classified(look)

    def refused(self, refusal: Refusal) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.refused(refusal)

    def heard(self, event: Event) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.heard(event)
