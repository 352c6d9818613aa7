"""Lasting sounds of one rule: single events, or events of one label with short pauses between them."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

from device.notify.alerts import Alert

MOST_REMEMBERED = 1000
"""Most messages, lasting sounds and cool-downs that are remembered; a hostile client could make endless ones."""


@dataclass
class _Sound:
    """Sound that must last longer.

    Attributes:
        alert: that of its first event.
        due: time from which it has lasted long enough, monotonic seconds.
        event_id: the event that sounds now; None in a pause.
        changed: time of the last start or end of an event, monotonic seconds.
    """

    alert: Alert
    due: float
    event_id: str | None
    changed: float


class LastingSounds:
    """Sounds that must last for a rule, each from the start of its first event.

    Without pauses, a sound is one event. With them, it is the events of one label and node, as long as no pause between
    two of them is longer than `pause_seconds`. It has lasted long enough when one of its events sounds at that time, or
    starts later after a pause that is short enough. Home Assistant's blueprint of the barking dog measures alike, from
    the state of the label's sensor.

    Args:
        seconds: duration that a sound must exceed, s.
        pause_seconds: longest pause, s; 0 for single events.
        steady: monotonic seconds.
    """

    def __init__(self, seconds: float, pause_seconds: float, steady: Callable[[], float]) -> None:
        self._seconds = seconds
        self._pause_seconds = pause_seconds
        self._steady = steady
        self._sounds: OrderedDict[tuple[str, str], _Sound] = OrderedDict()
        self._late: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def start(self, alert: Alert, event_id: str) -> None:
        """Record the start of an event: the beginning of a sound, or the end of a pause."""
        now, key = self._steady(), self._key(alert, event_id)
        sound = self._sounds.get(key)
        if sound is None or (sound.event_id is None and now - sound.changed > self._pause_seconds):
            self._sounds.pop(key, None)
            sound = _Sound(replace(alert, lasting_seconds=self._seconds), now + self._seconds, event_id, now)
            remember(self._sounds, key, sound)
        sound.event_id, sound.changed = event_id, now

    def end(self, alert: Alert, event_id: str, seconds: float) -> Alert | None:
        """Record the end of an event, and return the alert of a sound that was long enough, and has had none.

        Args:
            alert: alert of the `end` message.
            event_id: the event.
            seconds: its duration, s. It may be long enough before its timer is due, as its `start` has a delay.
        """
        now, key = self._steady(), self._key(alert, event_id)
        sound = self._sounds.get(key)
        if sound is None or sound.event_id != event_id:
            return None
        sound.event_id, sound.changed = None, now
        is_long_enough = seconds > self._seconds or (self._pause_seconds > 0 and sound.due <= now)
        if is_long_enough or not self._pause_seconds:
            del self._sounds[key]
        first = sound.alert
        ended = replace(alert, confidence=first.confidence, started=first.started, lasting_seconds=self._seconds)
        return ended if is_long_enough else None

    def end_unreported(self, node: str, form: str | None, form_of: Callable[[str], str]) -> None:
        """End the sounding events of a node, because their `end` messages will not arrive.

        A pause is then measured from the last start, as their ends are unknown.

        Args:
            node: the node.
            form: form of the label, by `form_of`; None for all labels.
            form_of: function that returns the form in which labels are compared.
        """
        for key, sound in list(self._sounds.items()):
            if sound.alert.node == node and form in (None, form_of(sound.alert.label)):
                sound.event_id = None
                if not self._pause_seconds:
                    del self._sounds[key]

    def due(self) -> list[Alert]:
        """Return the alerts of sounds that have lasted long enough by now. The next event begins another sound."""
        now = self._steady()
        keys = [key for key, sound in self._sounds.items() if sound.event_id is not None and sound.due <= now]
        return [self._sounds.pop(key).alert for key in keys]

    def next_due(self) -> float | None:
        """Return the time at which the next sound has lasted long enough, monotonic seconds; None without one."""
        return min((sound.due for sound in self._sounds.values() if sound.event_id is not None), default=None)

    def end_late(self, alert: Alert, seconds: float) -> Alert | None:
        """Record a late event of some seconds, by its own times, and return the alert if its sound was long enough."""
        key = (alert.node, alert.label)
        began, ended = self._late.pop(key, (alert.started, alert.started))
        if began is None or ended is None or alert.started is None:
            is_long_enough = seconds > self._seconds
        else:
            if not 0 <= alert.started - ended <= self._pause_seconds:
                began = alert.started
            ended = alert.started + seconds
            is_long_enough = ended - began > self._seconds
            if self._pause_seconds and not is_long_enough:
                remember(self._late, key, (began, ended))
        return replace(alert, started=began, lasting_seconds=self._seconds) if is_long_enough else None

    def _key(self, alert: Alert, event_id: str) -> tuple[str, str]:
        return (alert.node, alert.label if self._pause_seconds else event_id)


def remember(known: OrderedDict[Any, Any], key: Hashable, value: object) -> None:
    """Add an entry; beyond the largest number of them, the oldest is dropped."""
    known[key] = value
    if len(known) > MOST_REMEMBERED:
        known.popitem(last=False)
