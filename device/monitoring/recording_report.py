"""Report of a recording without events: what was classified, and why no event came of it."""

from device.monitoring.health import describe_refusal
from device.types import ClassifiedWindow, Event, GateReason, Observer, Refusal


class RecordingReport(Observer):
    """Counts of a recording, and the label that came nearest to its threshold."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._gate: GateReason | None = None
        self._windows = 0
        self._sounds = 0
        self._span_start: int | None = None
        self._has_events = False
        self._nearest: tuple[float, float, GateReason | None, Refusal] | None = None

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """Count the seconds, and store what opened the gate."""
        self._seconds += seconds
        self._gate = gate or self._gate

    def on_window(self, window: ClassifiedWindow) -> None:
        """Count a window, and the sound that it belongs to."""
        self._windows += 1
        self._sounds += window.span_start != self._span_start
        self._span_start = window.span_start

    def on_refusal(self, refusal: Refusal) -> None:
        """Store the refusal of the label that is nearest to its threshold."""
        nearness = refusal.confidence - refusal.threshold
        if self._nearest is None or nearness > self._nearest[0]:
            self._nearest = nearness, self._seconds, self._gate, refusal

    def on_event(self, event: Event) -> None:
        """Store that the recording has an event."""
        self._has_events = True

    def text(self) -> str | None:
        """Describe why the recording has no event, in one line; None if it has one."""
        if self._has_events:
            return None
        if not self._seconds:
            return "no event: nothing was classified, because listening is switched off (command/listening)"
        if self._nearest is None:
            return (
                f"no event: the gate opened for no sound in {self._seconds:.1f} s, so nothing was classified. "
                "`earshot classify --windows` classifies all of it"
            )
        _, seconds, gate, refusal = self._nearest
        return (
            f"no event: {self._windows} windows of {self._sounds} sounds were classified. Nearest to an event, at "
            f"{seconds:.1f} s, gate {gate}: {describe_refusal(refusal)}. `--trace` logs all of them"
        )
