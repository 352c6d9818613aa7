"""Settings of notifications, `earshot notify`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from device.config.base import Probability, Seconds, Section
from device.config.day_spans import DaySpans

Names = tuple[Annotated[str, Field(min_length=1, max_length=100)], ...]


class NotifyRule(Section):
    """Rule of `notify.rules`: an event for which a notification is sent. Each key narrows it; all must apply."""

    labels: Names = ()
    """Labels, AudioSet classes or their slugs, as in [siren, Doorbell]; []: any."""
    nodes: Names = ()
    """Values of `node_id`, as in [balcony]; []: every node of the broker."""
    confidence: Probability = 0.0
    """Least confidence, 0 to 1, as in the `start` message of the event."""
    hours: tuple[str, ...] = ()
    """Spans of the day, by the local clock, as in ["22:00-07:00"]; []: at any time."""
    lasting_seconds: Seconds = 0.0
    """Duration that the sound must exceed, in seconds. The notification is sent while the sound lasts. 0: at its
    start."""
    pause_seconds: Seconds = 0.0
    """Longest pause between two events of a label that are one sound for `lasting_seconds`, in seconds. 0: each event
    is a sound of its own."""
    cooldown_seconds: Annotated[float, Field(ge=0, le=604_800)] = 300.0
    """Cool-down after a notification in which this rule sends no other for the same label and node, in seconds."""
    late: bool = False
    """Also notify of events that are delivered late, because the broker was away."""
    services: Names = ()
    """Names of services, from `services_file`; []: all."""

    @field_validator("hours")
    @classmethod
    def _are_spans(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        DaySpans(value)
        return value

    @model_validator(mode="after")
    def _pauses_have_a_duration(self) -> Self:
        if self.pause_seconds and not self.lasting_seconds:
            raise ValueError("pause_seconds has no effect without lasting_seconds. Set both, as in docs/notify.md")
        return self


class NotifyConfig(Section):
    """Notifications to phones, mail and a hundred other services, `earshot notify` (docs/notify.md)."""

    rules: tuple[NotifyRule, ...] = ()
    """Rules: one of them must apply to an event for a notification. Their keys are labels, nodes, confidence, hours,
    lasting_seconds, pause_seconds, cooldown_seconds, late and services (docs/notify.md)."""
    services_file: Path | None = None
    """File with the addresses of the services, one Apprise URL a line; a relative path starts at the folder of the
    config file. The addresses contain secrets, so they are never written in the config file. null:
    /etc/credstore/earshot.notify_services if it exists, which only root and, through systemd, the service can read."""
    offline_minutes: Annotated[float, Field(ge=1, le=10_080)] | None = None
    """Duration after which a notification is sent of a sensor that is offline, or a broker that is away, in minutes.
    null: none is sent."""
    language: Literal["en", "de"] = "en"
    """Language of the notifications: en or de."""
