"""Topics and payloads: the contract with whoever subscribes. See docs/mqtt.md."""

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uuid6 import uuid7

from device.types import Event

SCHEMA = 1
ONLINE, OFFLINE = b"online", b"offline"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


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


def event_message(event: Event, *, node_id: str, bundle: str) -> dict[str, Any]:
    """What a subscriber receives, but for `sequence`, which the outbox gives.

    Args:
        event: start or end of a sound.
        node_id: of this device.
        bundle: name@version.
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
        "start_time": rfc3339(event.start_time),
        "end_time": rfc3339(event.end_time) if event.end_time is not None else None,
        "duration_seconds": round((event.end_time or 0.0) - event.start_time, 3) if ended else None,
        "level_dbfs": round(event.level_dbfs, 1),
        "gate": event.gate,
        "bundle": bundle,
        "boot_id": boot_id(),
        "clock_synced": clock_synced(),
        "replayed": False,
    }


def encode(message: dict[str, Any]) -> bytes:
    """JSON in UTF-8, one object, no line breaks."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def rfc3339(unix_seconds: float) -> str:
    """UTC with milliseconds, as in 2026-11-22T07:15:00.250Z (RFC 3339)."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.cache
def boot_id() -> str:
    """The kernel's random id of this boot, so that a subscriber sees a restart of the machine."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return "unknown"


def clock_synced() -> bool:
    """Whether network time has set the clock since boot: a Pi has no clock of its own that runs without power."""
    return _SYNCHRONIZED.exists()
