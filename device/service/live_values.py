"""Live values: level, noise floor, gate and nearest labels, published only while a subscriber asks for them."""

import threading
from collections.abc import Callable
from typing import Any, Final

from device.mqtt.messages import SCHEMA, encode
from device.pipeline import Pipeline
from device.service.sound_level import SoundLevels
from device.types import GateReason, Observer
from device.util.clock import CLOCK, Clock, rfc3339

_PERIOD_SECONDS: Final = 0.5
"""Shortest time between two messages, s."""
_LABELS: Final = 3
"""Most nearest labels in a message."""


class LiveValues(Observer):
    """Observer that publishes the state of the pipeline on `live`, at most twice a second, for as long as asked for.

    Otherwise it notes when the gate opens and shuts, and computes nothing.

    Args:
        node_id: of this device.
        pipeline: has the gate and the nearest labels.
        levels: has the sound level.
        publish: publishes a message; it must return at once.
        clock: clock of the run.
    """

    def __init__(
        self,
        node_id: str,
        pipeline: Pipeline,
        levels: SoundLevels,
        publish: Callable[[bytes], None],
        clock: Clock = CLOCK,
    ) -> None:
        self._node_id = node_id
        self._pipeline = pipeline
        self._levels = levels
        self._publish = publish
        self._clock = clock
        self._gate: GateReason | None = None
        self._gate_since = clock.now()
        self._lock = threading.Lock()
        self._until: float | None = None
        self._published_at = float("-inf")

    def watch(self, seconds: float) -> None:
        """Publish for the next seconds, or longer if that was asked for before; with 0, no more. Any thread."""
        with self._lock:
            until = self._clock.steady() + seconds
            self._until = max(until, self._until or until) if seconds else None

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """Note a change of the gate, and publish if it is time."""
        if gate != self._gate:
            self._gate, self._gate_since = gate, self._clock.now()
        if self._until is not None and self._is_due():
            self._publish(encode(self._message()))

    def _is_due(self) -> bool:
        now = self._clock.steady()
        with self._lock:
            if self._until is None or now >= self._until:
                self._until = None
                return False
        if now - self._published_at < _PERIOD_SECONDS:
            return False
        self._published_at = now
        return True

    def _message(self) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "schema": SCHEMA,
            "node_id": self._node_id,
            "time": rfc3339(self._clock.utc(now)),
            **self._levels.now(self._pipeline.gate.band_levels),
            "gate": {
                "open": self._gate is not None,
                "reason": self._gate,
                "since": rfc3339(self._clock.utc(self._gate_since)),
            },
            "window": self._window(now),
        }

    def _window(self, now: float) -> dict[str, Any] | None:
        nearest = self._pipeline.tracker.nearest_labels(_LABELS)
        if nearest is None:
            return None
        return {
            "age_seconds": round(max(0.0, now - nearest.end_time), 1),
            "unknown": nearest.is_unknown,
            "nearest": [
                {"label": each.name.label, "confidence": each.confidence, "threshold": each.threshold}
                for each in nearest.labels
            ],
        }
