"""Data types of the data path: samples, blocks, spans, windows, events, and the observer of the pipeline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
"""Mono sound, shape (n,), int16, full scale 32768."""
LogMel = NDArray[np.float32]
"""Shape (mel_bands, frames), float32. As a picture in [-1, 1], 1 is the window's peak, -1 the end of the range."""
Probabilities = NDArray[np.float32]
"""Shape (labels,), float32, in the order of the bundle's labels; sums to at most 1."""
GateReason = Literal["vad", "level", "probe"]
VocabularyName = Literal["bundle", "taught", "audioset", "pattern"]
"""Origin of an event's name: a label of the bundle, a taught label, a class of AudioSet, or an alarm pattern."""
RefusalReason = Literal[
    "unknown",
    "below_threshold",
    "cooling_down",
    "maximum_duration",
    "quiet_hours",
    "switched_off",
    "taught_not",
]

FULL_SCALE = 32768.0
BLOCK_SECONDS = 0.030
"""Length of a block: the longest that webrtcvad accepts."""
PublishState = Callable[[str, bytes], None]
"""Function that publishes a retained state: name below the node's prefix, payload."""
UNKNOWN = "unknown"
"""Decision for a sound that is none of the bundle's labels. Never a label itself."""


@dataclass(frozen=True)
class Blocks:
    """Successive blocks of 30 ms, without a gap: one, or those that arrived together in one read of a live source.

    Attributes:
        samples: shape (blocks * block_length,), int16, mono; at least one block.
        position: number of the first sample since the source was opened. A jump to the next blocks is lost audio.
        time: when the first sample sounded, Unix seconds.
    """

    samples: Samples
    position: int
    time: float

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.position + len(self.samples)


@dataclass(frozen=True)
class SourceLost:
    """Break of a source's stream. Every span and event ends there.

    Attributes:
        position: position after the last sample that arrived.
    """

    position: int


@dataclass(frozen=True)
class Span:
    """Time in which the gate is open, in sample positions.

    Attributes:
        start: first sample of the block that opened the gate.
        end: position after the last block that sounded so far.
        reason: what opened the gate.
        is_open: whether the gate is still open. It stays open for a hang-over after the sound.
    """

    start: int
    end: int
    reason: GateReason
    is_open: bool


@dataclass(frozen=True)
class Window:
    """Extent of one classification, in sample positions.

    Attributes:
        start: first sample. It may lie before the stream's first sample; zeros fill that part.
        end: position after the last sample.
        span: the gate's span, as known when the window was complete.
        hop_length: samples from its start to the start of the next window.
        resumed_at: position at which the sound resumed, if the window begins before it, not a hop after the last.
        is_early: True for an early look: the part of the first window that has sounded so far.
    """

    start: int
    end: int
    span: Span
    hop_length: int
    resumed_at: int | None = None
    is_early: bool = False


@dataclass(frozen=True)
class WindowScores:
    """Result of a bundle's networks for one window.

    Attributes:
        scores: shape (labels,), float32, 0 to 1. What is missing to 1 is the probability of `unknown`.
        log_mel: log-mel of the first network, as a picture in [-1, 1].
        audioset: probabilities of AudioSet's classes, shape (527,), float32; None without the AudioSet network.
        embedding: the AudioSet network's last layer before the heads, float32; None without that network.
    """

    scores: Probabilities
    log_mel: LogMel
    audioset: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ClassifiedWindow:
    """One classification: the network's input and output.

    Attributes:
        start: position of the window's first sample; below 0 where zeros stand before the stream.
        start_time: when that sample sounded, Unix seconds.
        samples: shape (window_length,), int16.
        log_mel: log-mel as a picture, shape (mel_bands, frames), float32, in [-1, 1].
        scores: shape (labels,), float32, 0 to 1, of this window alone, without the prior odds of live sound.
        span_start: position at which the gate opened.
        rise_db: highest rise above the noise floor within the window, dB.
        audioset, embedding: see `WindowScores`.
    """

    start: int
    start_time: float
    samples: Samples
    log_mel: LogMel
    scores: Probabilities
    span_start: int = 0
    rise_db: float = 0.0
    audioset: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SoundName:
    """Name of a sound that can become an event.

    Attributes:
        label: label of the bundle, taught label, display name of an AudioSet class, or name of an alarm pattern.
        slug: form of `label` for topics and folders. For a label, the label itself.
        vocabulary: see `VocabularyName`.
    """

    label: str
    slug: str
    vocabulary: VocabularyName


@dataclass(frozen=True)
class Event:
    """Start or end of one sound.

    Attributes:
        type: "start" or "end".
        event_id: UUIDv7 shared by the start and the end.
        label: a label of the bundle, a taught label, the display name of an AudioSet class, or an alarm pattern.
        confidence: probability of `label`, 0 to 1; calibrated for a label of the bundle. For an alarm pattern, the
            share of the sound that the pattern explains.
        scores: the same for each label of the vocabulary, each configured AudioSet class, or the alarm pattern.
        start_time: Unix seconds.
        end_time: Unix seconds; None in a start.
        level_dbfs: RMS level of the loudest 30 ms so far, dB relative to full scale, at most 0.
        gate: what opened the gate.
        vocabulary: origin of `label`.
        slug: form of `label` for topics and folders; empty: the label itself, which replaces it.
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
    vocabulary: VocabularyName = "bundle"
    slug: str = ""

    def __post_init__(self) -> None:
        """Replace an empty slug."""
        object.__setattr__(self, "slug", self.slug or self.label)


@dataclass(frozen=True)
class Refusal:
    """Label that was near or above its threshold in a window and became no event.

    Attributes:
        reason: why not.
        label: one of the bundle's labels, or the display name of an AudioSet class.
        confidence: probability of `label`, 0 to 1.
        threshold: confidence from which the label becomes an event.
        time: end of the window, Unix seconds.
        audioset: at most three likeliest AudioSet classes with their probabilities, if the reason is "unknown".
    """

    reason: RefusalReason
    label: str
    confidence: float
    threshold: float
    time: float
    audioset: tuple[tuple[str, float], ...] = ()


class Observer:
    """Callbacks of the pipeline, called on its thread in the order of the data path. This base class ignores them."""

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """Handle a block, or several quiet ones: their length in seconds, and what opened the gate; None while shut."""

    def on_pause(self, seconds: float) -> None:
        """Handle the end of a read: seconds of further sound that complete no window; 0 where each block matters."""

    def on_window(self, window: ClassifiedWindow) -> None:
        """Handle a classified window. Its refusals and events follow."""

    def on_look(self, look: ClassifiedWindow) -> None:
        """Handle an early look at a new sound. Its events follow, and later a full window of the same sound."""

    def on_refusal(self, refusal: Refusal) -> None:
        """Handle a label that became no event."""

    def on_event(self, event: Event) -> None:
        """Handle the start or the end of an event, which the pipeline has yielded already."""
