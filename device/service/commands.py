"""Commands: the payloads of `command/<name>`, parsed and checked. See docs/mqtt.md."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, TypeVar, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from device.config.base import LONGEST_SECONDS
from device.detection.label_settings import SettingName
from device.types import UNKNOWN
from device.util.text import did_you_mean, quoted

ON, OFF = "ON", "OFF"
CHECK = "check"
"""Command without effect, by which `earshot check` tests that commands arrive."""
DEFAULT = "default"
"""Payload of a label's setting: the one of config.yaml and the bundle."""
NONE = "none"
"""Corrected label of an event that was none of the labels."""

_NEW_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]*")
"""Names for a label that the bundle does not have; it becomes a folder."""
_COMMANDS = (
    "listening",
    *(f"{setting}/<label>" for setting in get_args(SettingName)),
    "correct",
    "teach",
    "untaught",
    "live",
)
_LARGEST = {"threshold": 1, "cooldown": LONGEST_SECONDS}
"""Largest value of a setting that is a number."""
_LIVE_SECONDS, _LONGEST_LIVE_SECONDS = 30.0, 60.0
"""Time for which live values are published: by default, and at most, s. A subscriber asks again."""
_NAME_LENGTH = 60
"""Characters of a foreign name that are compared with known names."""


class CommandRefusedError(Exception):
    """Refused command. The message contains the reason and the cure."""


@dataclass(frozen=True)
class ListeningCommand:
    """`command/listening`: whether blocks are processed."""

    listening: bool


@dataclass(frozen=True)
class LabelCommand:
    """`command/<setting>/<label>`: a setting of one label.

    Attributes:
        setting: threshold (0 to 1), cooldown (s) or enabled.
        label: label of the bundle, taught label, slug of an AudioSet class, or alarm pattern.
        value: the new value; None for the default.
    """

    setting: SettingName
    label: str
    value: float | bool | None


class CorrectCommand(BaseModel):
    """`command/correct`: the right label of an event."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event_id: Annotated[UUID, Field(strict=False)]
    label: Annotated[str, Field(min_length=1, max_length=64)]


class TeachCommand(BaseModel):
    """`command/teach`: the sound of some events, as a new label, or as what must not become an event of a name."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: Annotated[str, Field(min_length=1, max_length=64)]
    event_ids: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(min_length=1, max_length=20)]
    exclude: bool = False


@dataclass(frozen=True)
class UntaughtCommand:
    """`command/untaught`: a taught label that is removed."""

    label: str


@dataclass(frozen=True)
class LiveCommand:
    """`command/live`: the time for which live values are published from now on, s; 0 to end them."""

    seconds: float


Command = ListeningCommand | LabelCommand | CorrectCommand | TeachCommand | UntaughtCommand | LiveCommand


def parse_command(name: str, payload: bytes, labels: Collection[str]) -> Command:
    """Parse a command. Name and payload come from outside, so they may contain anything.

    Args:
        name: the topic after `command/`.
        payload: the message.
        labels: slugs of all names that can become events.

    Raises:
        CommandRefusedError: it is no valid command.
    """
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandRefusedError("its payload is not UTF-8") from error
    kind, _, label = name.partition("/")
    match kind:
        case "listening" if name == kind:
            return ListeningCommand(_parse_switch(text))
        case "threshold" | "cooldown" | "enabled":
            return _parse_setting(kind, label, text, labels)
        case "correct" if name == kind:
            return _parse_correct(text, labels)
        case "teach" if name == kind:
            return _parse_object(TeachCommand, text, '{"label": "...", "event_ids": ["...", "...", "..."]}')
        case "untaught" if name == kind:
            return UntaughtCommand(text[:_NAME_LENGTH])
        case "live" if name == kind:
            return LiveCommand(_parse_live(text))
    raise CommandRefusedError(f"no such command. {did_you_mean(name[:_NAME_LENGTH], _COMMANDS)}")


def _parse_switch(text: str, more: str = "") -> bool:
    if text not in (ON, OFF):
        raise CommandRefusedError(f"is {quoted(text)}, must be {ON} or {OFF}{more}")
    return text == ON


def _parse_live(text: str) -> float:
    if text in ("", ON):
        return _LIVE_SECONDS
    if text in ("0", OFF):
        return 0.0
    if (seconds := _parse_number(text, 1, _LONGEST_LIVE_SECONDS)) is None:
        raise CommandRefusedError(
            f"is {quoted(text)}, must be 1 to {_LONGEST_LIVE_SECONDS:.0f} (seconds), {ON}, or 0 or {OFF} to end it"
        )
    return seconds


def _parse_number(text: str, least: float, most: float) -> float | None:
    """Return a number within its range; None for any other text."""
    try:
        value = float(text[:_NAME_LENGTH])
    except ValueError:
        return None
    return value if least <= value <= most else None  # NaN fails too


def _parse_setting(setting: SettingName, label: str, text: str, labels: Collection[str]) -> LabelCommand:
    if label not in labels:
        raise CommandRefusedError(f"no such label. {did_you_mean(label[:_NAME_LENGTH], labels)}")
    if text == DEFAULT:
        return LabelCommand(setting, label, None)
    if setting == "enabled":
        return LabelCommand(setting, label, _parse_switch(text, f", or {DEFAULT}"))
    if (value := _parse_number(text, 0, _LARGEST[setting])) is None:
        raise CommandRefusedError(f"is {quoted(text)}, must be 0 to {_LARGEST[setting]}, or {DEFAULT}")
    return LabelCommand(setting, label, value)


_Object = TypeVar("_Object", CorrectCommand, TeachCommand)


def _parse_object(kind: type[_Object], text: str, example: str) -> _Object:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "it"
        raise CommandRefusedError(f"{key}: {fault['msg']}. Send {example}") from error


def _parse_correct(text: str, labels: Collection[str]) -> CorrectCommand:
    command = _parse_object(CorrectCommand, text, '{"event_id": "...", "label": "..."}')
    if command.label == UNKNOWN:
        raise CommandRefusedError(f"label: is {UNKNOWN!r}, which is no label. Send {NONE!r} for none of the labels")
    if command.label not in labels and not _NEW_LABEL.fullmatch(command.label):
        raise CommandRefusedError(
            f"label: is {quoted(command.label)}, must consist of letters, digits, '_', '-' and spaces"
        )
    return command
