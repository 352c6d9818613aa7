"""How the device is: what it heard, what it turned away and why, and how its parts are. For any thread.

`Health` takes note, `Reporter` has it published on the topic `health` (docs/mqtt.md). What is turned away is also
logged, at DEBUG, on the logger "earshot.trace": `earshot run --trace`.
"""

import logging
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self, get_args

from device.model.features import LogMel
from device.mqtt.messages import rfc3339
from device.types import Event, GateReason, Observer, Probabilities, Refusal, RefusalReason

_LOGGER = logging.getLogger(__name__)
TRACE = logging.getLogger("earshot.trace")

_NEAR_MISSES = 10
"""The last so many are kept."""
_REPORT_SECONDS = 60.0
"""From one report to the next, while nothing changes."""
_TIMED_WINDOWS = 100
"""Windows that the latency of inference is taken over."""

_BECAUSE: dict[RefusalReason, str] = {
    "unknown": "the network knows it as none of its labels",
    "below_threshold": "below its threshold of {threshold:.2f}",
    "cooling_down": "it ended a moment ago and is cooling down",
    "maximum_duration": "it has lasted for events.maximum_seconds",
    "quiet_hours": "events.quiet_hours",
}


class Health(Observer):
    """Counters since the start, the microphone's diagnosis, and the last near-misses.

    Attributes:
        changed: set when the diagnosis changes; whoever waits for it clears it.
    """

    def __init__(self) -> None:
        self.changed = threading.Event()
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._microphone = {"state": "missing", "message": "nothing was heard yet"}
        self._listened_seconds = self._open_seconds = 0.0
        self._gate: GateReason | None = None
        self._gate_since = 0.0
        self._openings = Counter(dict.fromkeys(get_args(GateReason), 0))
        self._refused = Counter(dict.fromkeys(get_args(RefusalReason), 0))
        self._near_misses: deque[Refusal] = deque(maxlen=_NEAR_MISSES)
        self._windows = 0
        self._inference_seconds: deque[float] = deque(maxlen=_TIMED_WINDOWS)
        self._last_event: Event | None = None

    def diagnosed(self, state: str, message: str) -> None:
        """Take note, and say, that the source of sound is in another state."""
        _LOGGER.log(logging.INFO if state == "ok" else logging.WARNING, "%s: %s", state, message)
        with self._lock:
            self._microphone = {"state": state, "message": message}
        self.changed.set()

    def listened(self, seconds: float, gate: GateReason | None) -> None:
        """Count a block."""
        with self._lock:
            self._listened_seconds += seconds
            self._open_seconds += seconds if gate else 0.0
            if gate != self._gate:
                lasted, self._gate_since = self._listened_seconds - self._gate_since, self._listened_seconds
                TRACE.debug("gate: was %s for %.1f s", f"open ({self._gate})" if self._gate else "shut", lasted)
                self._openings.update([gate] if gate else [])
                self._gate = gate

    def refused(self, refusal: Refusal) -> None:
        """Count a label that became no event, and keep it if it came near."""
        when = datetime.fromtimestamp(refusal.time).strftime("%H:%M:%S")
        because = _BECAUSE[refusal.reason].format(threshold=refusal.threshold)
        TRACE.debug("%s: no event: %s %.2f: %s", when, refusal.label, refusal.confidence, because)
        with self._lock:
            self._refused[refusal.reason] += 1
            if refusal.confidence >= refusal.threshold / 2:
                self._near_misses.append(refusal)

    def heard(self, event: Event) -> None:
        """Remember the last event."""
        self._last_event = event

    def timed(self, classify: Callable[[LogMel], Probabilities]) -> Callable[[LogMel], Probabilities]:
        """The same classifier, whose windows are counted and timed."""

        def timed(log_mel: LogMel) -> Probabilities:
            started = time.monotonic()
            scores = classify(log_mel)
            with self._lock:
                self._windows += 1
                self._inference_seconds.append(time.monotonic() - started)
            return scores

        return timed

    def summary(self) -> str:
        """What it listens to, or why it cannot, and what it heard last, for a person."""
        microphone, event = self._microphone["message"], self._last_event
        if event is None:
            return f"{microphone}. No event yet"
        when = datetime.fromtimestamp(event.start_time).strftime("%d %b %H:%M:%S")
        return f"{microphone}. Last event: {event.label}, {when}"

    def report(self) -> dict[str, Any]:
        """What this knows of the health message; a copy."""
        with self._lock:
            inference = self._inference_seconds
            return {
                "time": rfc3339(time.time()),
                "uptime_seconds": round(time.monotonic() - self._started),
                "microphone": self._microphone,
                "gate": {
                    "listened_seconds": round(self._listened_seconds, 1),
                    "open_seconds": round(self._open_seconds, 1),
                    "openings": dict(self._openings),
                },
                "windows": {"classified": self._windows, "refused": dict(self._refused)},
                "inference_ms": round(statistics.median(inference) * 1e3, 1) if inference else None,
                "inference_max_ms": round(max(inference) * 1e3, 1) if inference else None,
                "near_misses": [
                    {
                        "time": rfc3339(refusal.time),
                        "label": refusal.label,
                        "confidence": refusal.confidence,
                        "threshold": refusal.threshold,
                        "reason": refusal.reason,
                    }
                    for refusal in self._near_misses
                ],
            }


class Reporter:
    """Reports at the start, every minute, at once when the diagnosis changes, and at the end; a context manager.

    Args:
        report: called on a thread of this class's own.
        changed: makes a report due.
    """

    def __init__(self, report: Callable[[], None], changed: threading.Event) -> None:
        self._report = report
        self._changed = changed
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="health", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self._changed.set()
        self._thread.join()
        self._report()

    def _work(self) -> None:
        while not self._ends:
            self._report()
            self._changed.wait(_REPORT_SECONDS)
            self._changed.clear()
