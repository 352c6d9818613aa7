"""Topics and payloads of a node: the contract with subscribers. See docs/mqtt.md."""

import json
from datetime import datetime
from typing import Any

from uuid6 import uuid7

from device.types import Event
from device.util.clock import Clock, Stamp, boot_id, rfc3339

SCHEMA = 1
ONLINE, OFFLINE = b"online", b"offline"
LABEL_STATES = ("sound", "threshold", "cooldown", "enabled")
"""States of each label, as in `sound/siren`."""
NO_LEVEL = {"laeq_db": None, "lamax_db": None, "rise_db": None, "level_calibrated": False}
"""Sound level of an event, if it is not measured."""


class Topics:
    """Topics of one node.

    Attributes:
        status: `online` or `offline`.
        event: live event messages.
        backlog: late event messages.
        command: prefix of the commands, with a slash at its end.
        all_commands: topic filter of the commands.
        live: live values.
        all: topic filter of all topics of the node.
    """

    def __init__(self, node_id: str) -> None:
        prefix = f"earshot/{node_id}"
        self.status = f"{prefix}/status"
        self.event = f"{prefix}/event"
        self.backlog = f"{prefix}/event/backlog"
        self.command = f"{prefix}/command/"
        self.all_commands = f"{self.command}#"
        self.live = f"{prefix}/live"
        self.all = f"{prefix}/#"
        self._prefix = prefix

    def state(self, name: str) -> str:
        """Return the topic of a state, such as `health` or `sound/siren`."""
        return f"{self._prefix}/{name}"

    def kind(self, topic: str) -> str:
        """Return the kind of a topic: `sound/+` for that of any label, as access rules name them.

        Args:
            topic: topic of this node, or any other, which is a kind of its own.
        """
        head, _, label = topic.rpartition("/")
        return f"{head}/+" if label and head in map(self.state, LABEL_STATES) else topic


def event_message(
    event: Event, *, node_id: str, bundle: str, clock: Clock, level: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make an event message without its `sequence`, which the outbox adds.

    Args:
        event: start or end of a sound.
        node_id: of this device.
        bundle: name@version.
        clock: clock of the event's times.
        level: fields of the sound level, as in `NO_LEVEL`; None if the sound level is not measured.
    """
    ended = event.end_time is not None
    return {
        "schema": SCHEMA,
        "id": str(uuid7()),
        "event_id": event.event_id,
        "type": event.type,
        "node_id": node_id,
        "vocabulary": event.vocabulary,
        "label": event.label,
        "confidence": round(event.confidence, 4),
        "scores": event.scores,
        "start_time": rfc3339(clock.utc(event.start_time)),
        "end_time": rfc3339(clock.utc(event.end_time)) if event.end_time is not None else None,
        "duration_seconds": round((event.end_time or 0.0) - event.start_time, 3) if ended else None,
        "level_dbfs": round(event.level_dbfs, 1),
        **(level or NO_LEVEL),
        "gate": event.gate,
        "bundle": bundle,
        "boot_id": boot_id(),
        "clock_synced": clock.synced(),
        "replayed": False,
    }


def correct_times(message: dict[str, Any], created: Stamp, clock: Clock) -> dict[str, Any]:
    """Correct the times of a message that was created before network time set the clock, in this boot.

    Args:
        message: the event message.
        created: time of its creation.
        clock: current clock.

    Returns:
        The message itself, or a copy with corrected times and the current `clock_synced`. A message of an earlier boot
        is never corrected, because the time without power is unknown.
    """
    if message.get("clock_synced", True) or message["boot_id"] != boot_id():
        return message
    shift = clock.offset() - created.offset
    times = {
        key: rfc3339(datetime.fromisoformat(message[key]).timestamp() + shift)
        for key in ("start_time", "end_time")
        if message[key] is not None
    }
    return message | times | {"clock_synced": clock.synced()}


def without_scores(message: dict[str, Any]) -> dict[str, Any]:
    """Return an event message with the score of its own label alone, for a broker with a limit."""
    label = message.get("label")
    return message | {"scores": {name: score for name, score in message.get("scores", {}).items() if name == label}}


def encode(message: dict[str, Any]) -> bytes:
    """Encode a message as one line of JSON in UTF-8."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
