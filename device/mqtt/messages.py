"""Topics and payloads: the contract with whoever subscribes. See docs/mqtt.md."""

import json
from datetime import datetime
from typing import Any

from uuid6 import uuid7

from device.types import Event
from device.util.clock import Clock, Stamp, boot_id, rfc3339

SCHEMA = 1
ONLINE, OFFLINE = b"online", b"offline"


class Topics:
    """The topics of one node."""

    def __init__(self, node_id: str) -> None:
        prefix = f"earshot/{node_id}"
        self.status = f"{prefix}/status"
        self.event = f"{prefix}/event"
        self.backlog = f"{prefix}/event/backlog"
        self.command = f"{prefix}/command/"
        self._prefix = prefix

    def own(self, name: str) -> str:
        """The topic of a state: `health`, `sound/siren`."""
        return f"{self._prefix}/{name}"


def event_message(event: Event, *, node_id: str, bundle: str, clock: Clock) -> dict[str, Any]:
    """What a subscriber receives, but for `sequence`, which the outbox gives.

    Args:
        event: start or end of a sound.
        node_id: of this device.
        bundle: name@version.
        clock: of the event's times.
    """
    ended = event.end_time is not None
    return {
        "schema": SCHEMA,
        "id": str(uuid7()),
        "event_id": event.event_id,
        "type": event.type,
        "node_id": node_id,
        "label": event.label,
        "confidence": round(event.confidence, 4),
        "scores": event.scores,
        "start_time": rfc3339(clock.utc(event.start_time)),
        "end_time": rfc3339(clock.utc(event.end_time)) if event.end_time is not None else None,
        "duration_seconds": round((event.end_time or 0.0) - event.start_time, 3) if ended else None,
        "level_dbfs": round(event.level_dbfs, 1),
        "gate": event.gate,
        "bundle": bundle,
        "boot_id": boot_id(),
        "clock_synced": clock.synced(),
        "replayed": False,
    }


def corrected(message: dict[str, Any], made: Stamp, clock: Clock) -> dict[str, Any]:
    """Put the times of an event right that was made before the clock was set, in this boot.

    Args:
        message: the event message.
        made: when it was made.
        clock: as it is now.

    Returns:
        The message, or one with other times and `clock_synced`. One of an earlier boot stays as it is: how long the
        machine was off nobody knows.
    """
    if message.get("clock_synced", True) or message["boot_id"] != boot_id():
        return message
    shift = clock.offset() - made.offset
    times = {
        key: rfc3339(datetime.fromisoformat(message[key]).timestamp() + shift)
        for key in ("start_time", "end_time")
        if message[key] is not None
    }
    return message | times | {"clock_synced": clock.synced()}


def encode(message: dict[str, Any]) -> bytes:
    """JSON in UTF-8, one object, no line breaks."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
