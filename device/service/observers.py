"""Fan-out of the pipeline's callbacks to several observers."""

from device.types import ClassifiedWindow, Event, GateReason, Observer, Refusal


class Observers(Observer):
    """Several observers, called in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_block(seconds, gate)

    def on_window(self, window: ClassifiedWindow) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_window(window)

    def on_refusal(self, refusal: Refusal) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_refusal(refusal)

    def on_event(self, event: Event) -> None:
        """See `Observer`."""
        for observer in self._observers:
            observer.on_event(event)
