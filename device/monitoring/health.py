"""Health: counters, latencies and diagnoses since the start. Any thread may use it.

They are published on the topic `health` (docs/mqtt.md). Refusals and gate openings are also logged, at DEBUG, on the
logger "earshot.trace": `earshot run --trace`.
"""

import logging
import statistics
import threading
import time
from collections import Counter, deque
from datetime import datetime
from typing import Any, get_args

from device.types import Event, GateReason, Observer, Refusal, RefusalReason
from device.util.clock import rfc3339

_LOGGER = logging.getLogger(__name__)
TRACE = logging.getLogger("earshot.trace")

_NEAR_MISSES = 10
"""Near misses that are kept: the last ones."""
_TIMED_WINDOWS = 100
"""Windows over which the inference time is taken: the last ones."""

_REASONS: dict[RefusalReason, str] = {
    "unknown": "the network decides for none of its labels",
    "below_threshold": "below its threshold of {threshold:.2f}",
    "cooling_down": "it ended a moment ago and is cooling down",
    "maximum_duration": "it has lasted for events.maximum_seconds",
    "quiet_hours": "events.quiet_hours",
    "switched_off": "its switch is off",
    "taught_not": "it was taught not to be this sound (`earshot teach --not`)",
}


class Health(Observer):
    """Counters since the start, the diagnosis of the source, and the last near misses.

    Attributes:
        changed: set when the diagnosis changes; the thread that waits for it clears it.
    """

    def __init__(self) -> None:
        self.changed = threading.Event()
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._microphone = {"state": "missing", "message": "no sound was received yet"}
        self._listened_seconds = self._open_seconds = 0.0
        self._gate: GateReason | None = None
        self._gate_since = 0.0
        self._openings = Counter(dict.fromkeys(get_args(GateReason), 0))
        self._refused = Counter(dict.fromkeys(get_args(RefusalReason), 0))
        self._near_misses: deque[Refusal] = deque(maxlen=_NEAR_MISSES)
        self._windows = 0
        self._inference_seconds: deque[float] = deque(maxlen=_TIMED_WINDOWS)
        self._last_event: Event | None = None

    def on_source_state(self, state: str, message: str) -> None:
        """Store and log a new state of the source."""
        _LOGGER.log(logging.INFO if state == "ok" else logging.WARNING, "%s: %s", state, message)
        with self._lock:
            self._microphone = {"state": state, "message": message}
        self.changed.set()

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """Count a block, and the openings of the gate."""
        with self._lock:
            self._listened_seconds += seconds
            self._open_seconds += seconds if gate else 0.0
            if gate != self._gate:
                lasted, self._gate_since = self._listened_seconds - self._gate_since, self._listened_seconds
                TRACE.debug("gate: was %s for %.1f s", f"open ({self._gate})" if self._gate else "shut", lasted)
                self._openings.update([gate] if gate else [])
                self._gate = gate

    def on_refusal(self, refusal: Refusal) -> None:
        """Count a label that became no event; keep a near miss."""
        when = datetime.fromtimestamp(refusal.time).strftime("%H:%M:%S")
        TRACE.debug("%s: no event: %s", when, describe_refusal(refusal))
        with self._lock:
            self._refused[refusal.reason] += 1
            if refusal.confidence >= refusal.threshold / 2:
                self._near_misses.append(refusal)

    def on_event(self, event: Event) -> None:
        """Store the last event."""
        self._last_event = event

    def record_inference(self, seconds: float) -> None:
        """Count a classified window, and record its inference time, s."""
        with self._lock:
            self._windows += 1
            self._inference_seconds.append(seconds)

    def summary(self) -> str:
        """Describe the source's state and the last event, for a person."""
        microphone, event = self._microphone["message"], self._last_event
        if event is None:
            return f"{microphone}. No event yet"
        when = datetime.fromtimestamp(event.start_time).strftime("%d %b %H:%M:%S")
        return f"{microphone}. Last event: {event.label}, {when}"

    def report(self) -> dict[str, Any]:
        """Return this part of the health message; a copy."""
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


def describe_refusal(refusal: Refusal) -> str:
    """Describe a refusal: label, confidence and reason, and the AudioSet classes of an unknown sound."""
    reason = _REASONS[refusal.reason].format(threshold=refusal.threshold)
    likeliest = ", ".join(f"{name} {probability:.2f}" for name, probability in refusal.audioset)
    classes = f"; AudioSet: {likeliest}" if likeliest else ""
    return f"{refusal.label} {refusal.confidence:.2f}: {reason}{classes}"
