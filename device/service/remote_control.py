"""Remote control: execution of the commands for listening, thresholds and corrections, and storage of the settings."""

import logging
import time
from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict

from device.config.models import Probability
from device.errors import EarshotError
from device.service.commands import (
    CHECK,
    OFF,
    ON,
    CommandRefusedError,
    CorrectCommand,
    ListeningCommand,
    TeachCommand,
    ThresholdCommand,
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


class Switches(BaseModel):
    """Settings of earlier commands. They hold until another command changes them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    listening: bool = True
    thresholds: dict[str, Probability] = {}
    """By label, or slug of an AudioSet class. Thresholds of absent labels are kept for a bundle that has them."""


class RemoteControl:
    """Executor of commands: it stores their settings and publishes the state. Used from the command thread.

    Args:
        switches: settings of earlier runs; they are applied at once.
        thresholds: threshold of each of the bundle's labels and of each configured AudioSet class, by slug, from
            config.yaml and the bundle.
        set_threshold: changes a threshold of the pipeline: slug, threshold.
        publish_state: publishes a retained state: name, value.
        correct: files the clip of an event under its right label (or `none`): event_id, label. It raises LookupError,
            with a sentence, if there is no clip.
        teaching: executes the commands that teach.
    """

    def __init__(
        self,
        switches: JsonStore[Switches],
        thresholds: Mapping[str, float],
        *,
        set_threshold: Callable[[str, float], None],
        publish_state: Callable[[str, str], None],
        correct: Callable[[str, str], None],
        teaching: RemoteTeaching,
    ) -> None:
        self._switches = switches
        self._defaults = dict(thresholds)
        self._set_threshold = set_threshold
        self._publish_state = publish_state
        self._correct = correct
        self._teaching = teaching
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
            case ThresholdCommand(label, threshold):
                self._store_threshold(label, threshold)
            case CorrectCommand() as command:
                self._file_clip(command)
            case TeachCommand() as command:
                self._teach(command)
            case UntaughtCommand(label):
                self._forget(label)

    def _set_listening(self, listening: bool) -> None:
        state = ON if listening else OFF
        if listening != self.is_listening():
            _LOGGER.info("listening is switched %s", state)
        self._switches.update(listening=listening)
        self._publish_state("listening", state)

    def _store_threshold(self, label: str, threshold: float | None) -> None:
        thresholds = {name: value for name, value in self._switches.content.thresholds.items() if name != label}
        if threshold is not None:
            thresholds |= {label: threshold}
        self._switches.update(thresholds=thresholds)
        self._use_threshold(label, self._defaults[label] if threshold is None else threshold)

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

    def _use_threshold(self, label: str, threshold: float) -> None:
        self._set_threshold(label, threshold)
        self._publish_state(f"threshold/{label}", f"{threshold:g}")

    def _apply_switches(self) -> None:
        """Apply the settings of earlier runs, and publish all states."""
        switches = self._switches.content
        for label, default in self._defaults.items():
            threshold = switches.thresholds.get(label, default)
            if threshold != default:
                _LOGGER.info("threshold of %s is %g, set by command/threshold/%s", label, threshold, label)
            self._use_threshold(label, threshold)
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
