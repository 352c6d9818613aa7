"""What can be changed while the daemon runs: listening, thresholds, and the label of a clip. Commands say how.

A command comes from outside, so anything may be in it: one that is not understood changes nothing and is told,
a line a minute at most.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from device.config.models import Probability
from device.types import UNKNOWN, Block, SourceLost
from device.util.json_store import StateFile
from device.util.text import did_you_mean

_LOGGER = logging.getLogger(__name__)

ON, OFF = "ON", "OFF"
DEFAULT = "default"
"""As a threshold: the one of config.yaml and the bundle."""
NONE = "none"
"""As the right label of an event: there was none of the labels."""
_NEW_LABEL = r"[A-Za-z0-9][A-Za-z0-9 _-]*"
"""What a label that the bundle does not have may be called; it names a folder."""

_COMMANDS = ("listening", "threshold/<label>", "correct")
_BURST, _PER_SECOND = 50.0, 2.0
"""Commands that may come at once, and for how long one must then pause: each may be a write to the card."""
_QUIET_SECONDS = 60.0
"""From one line about refused commands to the next."""
_SHOWN = 60
"""Characters of a command that a line quotes."""


class Switches(BaseModel):
    """What was set while the daemon ran, and holds until it is set again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    listening: bool = True
    thresholds: dict[str, Probability] = {}
    """By label; those of labels that the bundle does not have wait for one that has them."""


class Correction(BaseModel):
    """The payload of `command/correct`: what an event really was."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event_id: Annotated[UUID, Field(strict=False)]
    label: Annotated[str, Field(min_length=1, max_length=64)]


class _RefusedError(Exception):
    """A command that cannot be obeyed; the message says why."""


class Controls:
    """Obeys commands, remembers what they set, and tells it.

    Args:
        remembered: what was set in earlier runs; it is applied now.
        thresholds: of each of the bundle's labels, as config.yaml and the bundle have them.
        set_threshold: changes one in the pipeline: label, threshold.
        tell: publishes a retained state: name, value.
        correct: files the clip of an event under its right label (or `none`): event_id, label. It tells what it
            does, and raises LookupError, with a sentence, where it cannot.
    """

    def __init__(
        self,
        remembered: StateFile[Switches],
        thresholds: Mapping[str, float],
        *,
        set_threshold: Callable[[str, float], None],
        tell: Callable[[str, str], None],
        correct: Callable[[str, str], None],
    ) -> None:
        self._remembered = remembered
        self._defaults = dict(thresholds)
        self._set_threshold = set_threshold
        self._tell = tell
        self._correct = correct
        self._allowance, self._allowed_at = _BURST, time.monotonic()
        self._refused, self._told_at = 0, float("-inf")
        self._apply()

    @property
    def listening(self) -> bool:
        """Whether what the microphone hears is looked at; what it hears otherwise is dropped at once."""
        return self._remembered.content.listening

    def while_listening(self, source: Iterable[Block | SourceLost]) -> Iterator[Block | SourceLost]:
        """Yield what the source does, but nothing while listening is off: what sounds then is over."""
        was_listening = True
        for item in source:
            if listening := self.listening:
                yield item
            elif was_listening:
                yield SourceLost(item.position)
            was_listening = listening

    def command(self, name: str, payload: bytes) -> None:
        """Obey a command.

        Args:
            name: what follows `command/` in the topic; anything.
            payload: anything.
        """
        try:
            self._obey(name, payload)
        except _RefusedError as error:
            self._complain(f"{_shown(name)}: {error}")

    def _obey(self, name: str, payload: bytes) -> None:
        if not self._in_measure():
            raise _RefusedError(f"too many commands, more than {_PER_SECOND:.0f} a second for long. Send fewer")
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _RefusedError("its payload is not UTF-8") from error
        kind, _, label = name.partition("/")
        if name == "listening":
            self._listen(text)
        elif kind == "threshold":
            self._threshold(label, text)
        elif name == "correct":
            self._file(text)
        else:
            raise _RefusedError(f"no such command. {did_you_mean(name[:_SHOWN], _COMMANDS)}")

    def _listen(self, text: str) -> None:
        if text not in (ON, OFF):
            raise _RefusedError(f"is {_shown(text)}, must be {ON} or {OFF}")
        if (text == ON) != self.listening:
            _LOGGER.info("listening is switched %s", text)
        self._remembered.update(listening=text == ON)
        self._tell("listening", text)

    def _threshold(self, label: str, text: str) -> None:
        if label not in self._defaults:
            raise _RefusedError(f"no such label. {did_you_mean(label[:_SHOWN], self._defaults)}")
        others = {each: value for each, value in self._remembered.content.thresholds.items() if each != label}
        if text == DEFAULT:
            threshold, thresholds = self._defaults[label], others
        else:
            threshold = _probability(text)
            thresholds = others | {label: threshold}
        self._remembered.update(thresholds=thresholds)
        self._put_threshold(label, threshold)

    def _file(self, text: str) -> None:
        try:
            correction = Correction.model_validate_json(text)
            self._check_label(correction.label)
            self._correct(str(correction.event_id), correction.label)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "it"
            raise _RefusedError(f'{where}: {fault["msg"]}. Send {{"event_id": "...", "label": "..."}}') from error
        except LookupError as error:
            raise _RefusedError(str(error.args[0])) from error
        except OSError as error:
            raise _RefusedError(f"the clip cannot be filed ({error.strerror})") from error

    def _check_label(self, label: str) -> None:
        """It names a folder, and from there a label of a bundle, so it must be fit to."""
        if label == UNKNOWN:
            raise _RefusedError(f"label: is {UNKNOWN!r}, which is no label. Send {NONE!r} for none of the labels")
        if label not in self._defaults and not re.fullmatch(_NEW_LABEL, label):
            raise _RefusedError(f"label: is {_shown(label)}, must be of letters, digits, '_', '-' and spaces")

    def _put_threshold(self, label: str, threshold: float) -> None:
        self._set_threshold(label, threshold)
        self._tell(f"threshold/{label}", f"{threshold:g}")

    def _apply(self) -> None:
        """Take up what earlier runs were told, and say where everything stands."""
        switches = self._remembered.content
        for label, default in self._defaults.items():
            threshold = switches.thresholds.get(label, default)
            if threshold != default:
                _LOGGER.info("threshold of %s is %g, as command/threshold/%s set it", label, threshold, label)
            self._put_threshold(label, threshold)
        if not switches.listening:
            _LOGGER.warning("listening is off, as command/listening set it. Publish %s there to hear again", ON)
        self._tell("listening", ON if switches.listening else OFF)

    def _in_measure(self) -> bool:
        """Take one command from an allowance that refills with time (a token bucket)."""
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._allowed_at) * _PER_SECOND)
        self._allowed_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _complain(self, why: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._told_at >= _QUIET_SECONDS:
            more = f" ({self._refused - 1} others since the last line)" if self._refused > 1 else ""
            _LOGGER.warning("command %s%s", why, more)
            self._refused, self._told_at = 0, now


def _probability(text: str) -> float:
    try:
        value = float(text[:_SHOWN])
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:  # nor is a NaN
        raise _RefusedError(f"is {_shown(text)}, must be 0 to 1, or {DEFAULT}")
    return value


def _shown(text: str) -> str:
    """Quoted on one line, whatever it holds."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
