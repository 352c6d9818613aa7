"""Alerts: events of which a notification is sent."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from device.mqtt.subscriber import finite_number
from device.util.local_time import local_of


@dataclass(frozen=True)
class Alert:
    """Event of which a notification is sent.

    Attributes:
        label: the event's label.
        node: the node that detected it.
        confidence: 0 to 1.
        started: Unix seconds, by the node's clock; None if the message has no valid time.
        lasting_seconds: duration that the sound has exceeded, s; 0 at its start.
        level_db: LAeq in dB(A); None if it is not calibrated.
        is_late: True if the message was delivered late.
        services: names of the services; empty for all.
    """

    label: str
    node: str
    confidence: float
    started: float | None
    lasting_seconds: float
    level_db: float | None
    is_late: bool
    services: tuple[str, ...]


def alert_of(node: str, label: str, message: dict[str, Any], *, is_late: bool) -> Alert:
    """Make the alert of an event message, which may be any JSON object."""
    try:
        started = local_of(str(message.get("start_time"))).timestamp()
    except (ValueError, OverflowError, OSError):
        started = None
    return Alert(
        label=label,
        node=node,
        confidence=finite_number(message.get("confidence")) or 0.0,
        started=started,
        lasting_seconds=0.0,
        level_db=finite_number(message.get("laeq_db")) if message.get("level_calibrated") is True else None,
        is_late=is_late,
        services=(),
    )


def merged(alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts with one for each sound: of several rules for it, the services of all."""
    services: dict[Alert, list[tuple[str, ...]]] = {}
    for alert in alerts:
        services.setdefault(replace(alert, services=()), []).append(alert.services)
    return [
        replace(alert, services=tuple(sorted({*chain.from_iterable(names)})) if all(names) else ())
        for alert, names in services.items()
    ]
