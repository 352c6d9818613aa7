"""Fan-out of the pipeline's callbacks to several observers, and the log of events."""

import logging

from device.audio.captured_source import LONG_READ_SECONDS
from device.audio.microphone_source import MicrophoneSource
from device.types import ClassifiedWindow, Event, GateReason, Observer, Refusal

_LOGGER = logging.getLogger(__name__)


class Observers(Observer):
    """Several observers, called in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def add(self, observer: Observer) -> None:
        """Add an observer, which is called after the others."""
        self._observers = (*self._observers, observer)

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_block(seconds, gate)

    def on_pause(self, seconds: float) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_pause(seconds)

    def on_window(self, window: ClassifiedWindow) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_window(window)

    def on_look(self, look: ClassifiedWindow) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_look(look)

    def on_refusal(self, refusal: Refusal) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_refusal(refusal)

    def on_event(self, event: Event) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_event(event)


class LongReads(Observer):
    """Observer that lets the microphone deliver in larger parts while no window is due.

    Args:
        source: the microphone.
    """

    def __init__(self, source: MicrophoneSource) -> None:
        self._source = source

    def on_pause(self, seconds: float) -> None:
        """See `Observer`. The last samples of a window arrive with a short read, at once."""
        self._source.set_quiet(seconds > LONG_READ_SECONDS)


def log_event(event: Event) -> None:
    """Log the start or the end of an event."""
    _LOGGER.info(
        "%s %s, confidence %.2f, %.0f dBFS, gate %s",
        event.label,
        "started" if event.end_time is None else f"ended after {event.end_time - event.start_time:.1f} s",
        event.confidence,
        event.level_dbfs,
        event.gate,
        extra={
            "EARSHOT_EVENT_ID": event.event_id,
            "EARSHOT_TYPE": event.type,
            "EARSHOT_LABEL": event.label,
            "EARSHOT_CONFIDENCE": f"{event.confidence:.4f}",
        },
    )
