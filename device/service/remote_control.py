"""Remote control: execution of the commands for listening, labels and corrections, and storage of the settings."""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from device.config.models import Probability, Seconds
from device.detection.label_settings import LabelSetting, LabelSettings, SettingName
from device.errors import EarshotError
from device.service.commands import (
    CHECK,
    OFF,
    ON,
    CommandRefusedError,
    CorrectCommand,
    LabelCommand,
    ListeningCommand,
    LiveCommand,
    TeachCommand,
    UntaughtCommand,
    parse_command,
)
from device.service.remote_teaching import RemoteTeaching
from device.util.json_store import JsonStore
from device.util.text import did_you_mean, quoted
from device.util.token_bucket import TokenBucket

_LOGGER = logging.getLogger(__name__)

_BURST, _PER_SECOND = 50.0, 2.0
"""Commands that may come at once, and then each second: each may write to the SD card."""
_LOG_SECONDS = 60.0
"""Shortest time between two log lines about refused commands."""
_FIELDS: Final[dict[SettingName, str]] = {"threshold": "thresholds", "cooldown": "cooldowns", "enabled": "enabled"}
"""Field of `Switches` for each setting of a label."""


class Switches(BaseModel):
    """Settings of earlier commands. They hold until another command changes them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    listening: bool = True
    thresholds: dict[str, Probability] = {}
    """By label, or slug of an AudioSet class. Settings of absent labels are kept for a bundle that has them."""
    cooldowns: dict[str, Seconds] = {}
    """The same, s."""
    enabled: dict[str, bool] = {}
    """The same: False for a label that starts no event."""


class RemoteControl:
    """Executor of commands: it stores their settings and publishes the state. Used from the command thread.

    Args:
        switches: settings of earlier runs; they are applied at once.
        settings: settings of each name that can become an event, as in config.yaml, bundle and lessons; commands
            change them.
        publish_state: publishes a retained state: name, value.
        correct: files the clip of an event under its right label (or `none`): event_id, label. It raises LookupError,
            with a sentence, if there is no clip.
        teaching: executes the commands that teach.
        watch: publishes live values for a time, s; 0 ends them.
    """

    def __init__(
        self,
        switches: JsonStore[Switches],
        settings: LabelSettings,
        *,
        publish_state: Callable[[str, str], None],
        correct: Callable[[str, str], None],
        teaching: RemoteTeaching,
        watch: Callable[[float], None],
    ) -> None:
        self._switches = switches
        self._settings = settings
        self._defaults = settings.by_slug()
        self._publish_state = publish_state
        self._correct = correct
        self._teaching = teaching
        self._watch = watch
        self._allowance = TokenBucket(_BURST, _PER_SECOND)
        self._refused, self._logged_at = 0, float("-inf")
        self._apply_switches()

    def is_listening(self) -> bool:
        """Return whether blocks are processed; any thread. Otherwise they are dropped at once."""
        return self._switches.content.listening

    def execute(self, name: str, payload: bytes) -> None:
        """Execute a command; log the reason if it is refused.

        Args:
            name: the topic after `command/`; may be anything.
            payload: may be anything.
        """
        if name == CHECK:
            return
        try:
            self._execute(name, payload)
        except CommandRefusedError as error:
            self._log_refusal(f"{quoted(name)}: {error}")

    def _execute(self, name: str, payload: bytes) -> None:
        if not self._allowance.take():
            raise CommandRefusedError(f"too many commands, more than {_PER_SECOND:.0f} a second. Send fewer")
        match parse_command(name, payload, self._defaults):
            case ListeningCommand(listening):
                self._set_listening(listening)
            case LabelCommand(setting, label, value):
                self._store_setting(setting, label, value)
            case CorrectCommand() as command:
                self._file_clip(command)
            case TeachCommand() as command:
                self._teach(command)
            case UntaughtCommand(label):
                self._forget(label)
            case LiveCommand(seconds):
                self._watch(seconds)

    def _set_listening(self, listening: bool) -> None:
        state = ON if listening else OFF
        if listening != self.is_listening():
            _LOGGER.info("listening is switched %s", state)
        self._switches.update(listening=listening)
        self._publish_state("listening", state)

    def _store_setting(self, setting: SettingName, label: str, value: float | bool | None) -> None:
        field = _FIELDS[setting]
        stored = {name: other for name, other in getattr(self._switches.content, field).items() if name != label}
        if value is not None:
            stored |= {label: value}
        self._switches.update(**{field: stored})
        changed = self._stored_setting(label)
        self._settings.change(label, changed)
        self._publish_setting(setting, label, changed)

    def _file_clip(self, command: CorrectCommand) -> None:
        try:
            self._correct(str(command.event_id), command.label)
        except LookupError as error:
            raise CommandRefusedError(str(error.args[0])) from error
        except OSError as error:
            raise CommandRefusedError(f"the clip cannot be filed ({error.strerror})") from error

    def _teach(self, command: TeachCommand) -> None:
        if command.exclude and command.label not in self._defaults:
            raise CommandRefusedError(f"no such label. {did_you_mean(command.label[:64], self._defaults)}")
        event_ids = [str(event_id) for event_id in command.event_ids]
        try:
            self._teaching.teach(command.label, event_ids, is_exclusion=command.exclude)
        except (EarshotError, LookupError) as error:
            raise CommandRefusedError(str(error.args[0])) from error

    def _forget(self, label: str) -> None:
        try:
            self._teaching.forget(label)
        except EarshotError as error:
            raise CommandRefusedError(str(error)) from error

    def _stored_setting(self, label: str) -> LabelSetting:
        """Return the settings of a label: those of commands, else the defaults."""
        switches = self._switches.content
        stored: dict[str, Any] = {setting: getattr(switches, field).get(label) for setting, field in _FIELDS.items()}
        changes = {setting: value for setting, value in stored.items() if value is not None}
        return dataclasses.replace(self._defaults[label], **changes)

    def _publish_setting(self, setting: SettingName, label: str, settings: LabelSetting) -> None:
        self._publish_state(f"{setting}/{label}", _text(getattr(settings, setting)))

    def _apply_switches(self) -> None:
        """Apply the settings of earlier runs, and publish all states."""
        switches = self._switches.content
        for label, default in self._defaults.items():
            stored = self._stored_setting(label)
            self._settings.change(label, stored)
            for setting in _FIELDS:
                value = getattr(stored, setting)
                if value != getattr(default, setting):
                    _LOGGER.info("%s of %s is %s, set by command/%s/%s", setting, label, _text(value), setting, label)
                self._publish_setting(setting, label, stored)
        if not switches.listening:
            _LOGGER.warning("listening is off, set by command/listening. Publish %s there to listen again", ON)
        self._publish_state("listening", ON if switches.listening else OFF)

    def _log_refusal(self, reason: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            more = f" ({self._refused - 1} others since the last line)" if self._refused > 1 else ""
            _LOGGER.warning("command %s%s", reason, more)
            self._refused, self._logged_at = 0, now


def _text(value: float | bool) -> str:
    """Return the value of a setting as its topic has it."""
    return (ON if value else OFF) if isinstance(value, bool) else f"{value:g}"
