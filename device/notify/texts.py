"""Texts of notifications: title and body in the user's language, with local times."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from device.notify.alerts import Alert
from device.util.catalogue import format_number, name_of_label, translator
from device.util.local_time import local
from device.util.text import one_line

Urgency = Literal["info", "warning"]

_ALERT_TITLE: Final = "{label} ({node})"
_ALERT: Final = {
    (False, False): "Started at {time}.",
    (True, False): "Started at {time}, and has lasted for more than {seconds} s.",
    (False, True): "Started at {time}, and was reported late.",
    (True, True): "Started at {time}, lasted for more than {seconds} s, and was reported late.",
}
"""Text by whether the sound had to last, and whether the message was late."""
_CONFIDENCE: Final = "Confidence: {percent} %."
_LEVEL: Final = "Sound level: {level} dB(A)."
_SENSOR: Final = {
    False: (
        "Earshot is offline ({node})",
        "The sensor {node} has been offline since {time}. It detects nothing meanwhile. Check its power and network.",
    ),
    True: ("Earshot is online again ({node})", "The sensor {node} was offline from {time}."),
}
"""Title and body by whether the sensor is back."""
_BROKER: Final = {
    False: (
        "Earshot gets no events",
        "The {broker} has not answered since {time}, so no event is reported. Check it and the network.",
    ),
    True: ("Earshot gets events again", "The {broker} did not answer from {time}."),
}
_TEST: Final = ("Test of Earshot", "Earshot sent this message to {service} at {time}.")
ALL_TEXTS: Final = (
    *(_ALERT_TITLE, *_ALERT.values(), _CONFIDENCE, _LEVEL),
    *(text for pair in (*_SENSOR.values(), *_BROKER.values(), _TEST) for text in pair),
)
"""Texts that each catalogue translates."""


@dataclass(frozen=True)
class Text:
    """Notification as a service shows it.

    Attributes:
        title: one line.
        body: some sentences.
        urgency: `warning` for a fault of Earshot itself, else `info`.
    """

    title: str
    body: str
    urgency: Urgency = "info"


class Writer:
    """Writer of notifications.

    Args:
        language: `notify.language`.
        wall: Unix seconds of the system clock.
    """

    def __init__(self, language: str, wall: Callable[[], float] = time.time) -> None:
        self._language = language
        self._wall = wall
        self._translate = translator(language)

    def alert(self, alert: Alert) -> Text:
        """Write the notification of an event."""
        label = one_line(name_of_label(alert.label, self._translate))
        title = self._translate(_ALERT_TITLE, label=label[:1].upper() + label[1:], node=one_line(alert.node))
        started = self._time(self._wall() if alert.started is None else alert.started)
        text = _ALERT[alert.lasting_seconds > 0, alert.is_late]
        sentences = [self._translate(text, time=started, seconds=f"{alert.lasting_seconds:g}")]
        percent = min(100, max(0, math.floor(100 * alert.confidence + 0.5)))
        sentences.append(self._translate(_CONFIDENCE, percent=percent))
        if alert.level_db is not None:
            level = format_number(alert.level_db, 0, self._language)
            sentences.append(self._translate(_LEVEL, level=level))
        return Text(title, " ".join(sentences))

    def sensor(self, node: str, since: float, *, is_back: bool) -> Text:
        """Write the notification of a sensor that is offline, or online again; `since` is Unix seconds."""
        return self._text(_SENSOR[is_back], "warning", node=one_line(node), time=self._time(since))

    def broker(self, broker: str, since: float, *, is_back: bool) -> Text:
        """Write the notification of a broker that is away, or is there again; `since` is Unix seconds."""
        return self._text(_BROKER[is_back], "warning", broker=broker, time=self._time(since))

    def test(self, service: str) -> Text:
        """Write the message that tests a service."""
        return self._text(_TEST, "info", service=service, time=self._time(self._wall()))

    def _text(self, pair: tuple[str, str], urgency: Urgency, **values: str) -> Text:
        title, body = (self._translate(text, **values) for text in pair)
        return Text(title, body, urgency)

    def _time(self, unix_seconds: float) -> str:
        """Return the local time, with the date of another day."""
        moment = local(unix_seconds)
        is_today = moment.date() == local(self._wall()).date()
        return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"
