"""How the device is: what it heard, what it turned away and why, and how its parts are. For any thread.

Each thing that is turned away is also logged, at DEBUG, on the logger "earshot.trace": `earshot run --trace`.
"""

import logging
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from device.features import LogMel
from device.types import GateReason, Observer, Probabilities, Refusal

TRACE = logging.getLogger("earshot.trace")

_NEAR_MISSES = 10
"""The last so many are kept."""
_TIMED_WINDOWS = 100
"""Windows that the latency of inference is taken over."""

_BECAUSE = {
    "unknown": "the network knows it as none of its labels",
    "below_threshold": "below its threshold of {threshold:.2f}",
    "cooling_down": "it ended a moment ago and is cooling down",
    "maximum_duration": "it has lasted for events.maximum_seconds",
}


class Health(Observer):
    """Counters since the start, and the last near-misses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listened_seconds = self._open_seconds = 0.0
        self._gate: GateReason | None = None
        self._gate_since = 0.0
        self._openings: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._near_misses: deque[Refusal] = deque(maxlen=_NEAR_MISSES)
        self._windows = 0
        self._inference_seconds: deque[float] = deque(maxlen=_TIMED_WINDOWS)

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

    def counters(self) -> dict[str, Any]:
        """`gate`, `windows` and `near_misses` of the health message (docs/mqtt.md)."""
        with self._lock:
            return {
                "gate": {
                    "listened_seconds": round(self._listened_seconds, 1),
                    "open_seconds": round(self._open_seconds, 1),
                    "openings": dict(self._openings),
                },
                "windows": {
                    "classified": self._windows,
                    "refused": dict(self._refused),
                    "inference_ms": _milliseconds(self._inference_seconds),
                },
                "near_misses": [
                    {
                        "time": refusal.time,
                        "label": refusal.label,
                        "confidence": refusal.confidence,
                        "threshold": refusal.threshold,
                        "reason": refusal.reason,
                    }
                    for refusal in self._near_misses
                ],
            }


def _milliseconds(seconds: deque[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"median": round(statistics.median(seconds) * 1e3, 1), "maximum": round(max(seconds) * 1e3, 1)}
