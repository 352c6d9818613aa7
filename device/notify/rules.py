"""Rules of notifications: from event messages to alerts, with a timer for sounds that must last."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from device.config.day_spans import DaySpans
from device.config.models import NotifyRule
from device.model.sound_names import AUDIOSET_PREFIX
from device.mqtt.subscriber import finite_number
from device.util.local_time import local_of
from device.util.text import slug

_MOST = 1000
"""Most messages, waiting sounds and cool-downs that are remembered; a hostile client could make endless ones."""


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


@dataclass(frozen=True)
class _Rule:
    """Rule with its parsed hours, and its number from 0."""

    number: int
    config: NotifyRule
    hours: DaySpans
    forms: frozenset[str]

    def admits(self, alert: Alert, moment: float) -> bool:
        """Return whether label, node, confidence and hours apply; `moment` is Unix seconds."""
        return (
            (not self.forms or _form(alert.label) in self.forms)
            and (not self.config.nodes or alert.node in self.config.nodes)
            and alert.confidence >= self.config.confidence
            and (not self.config.hours or self.hours.hold(moment))
            and (not alert.is_late or self.config.late)
        )


@dataclass(frozen=True)
class _Waiting:
    """Sound that must last longer for its rule."""

    rule: _Rule
    alert: Alert
    due: float


class RuleBook:
    """Rules, the sounds that wait for their duration, and the cool-downs.

    A live event is judged at the present time, a late one at the time of its start.

    Args:
        rules: as configured.
        steady: monotonic seconds.
        wall: Unix seconds of the system clock.
    """

    def __init__(
        self,
        rules: Sequence[NotifyRule],
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._rules = [
            _Rule(number, rule, DaySpans(rule.hours), frozenset(map(_form, rule.labels)))
            for number, rule in enumerate(rules)
        ]
        self._steady, self._wall = steady, wall
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._waiting: OrderedDict[tuple[int, str, str], _Waiting] = OrderedDict()
        self._cooling: OrderedDict[tuple[int, str, str], float] = OrderedDict()

    def judge(self, node: str, message: dict[str, Any], *, is_late: bool) -> list[Alert]:
        """Return the alerts of an event message. A message that is delivered twice has none the second time.

        Args:
            node: the node, as in the topic.
            message: any JSON object.
            is_late: whether the message was delivered late.
        """
        event_id, label = message.get("event_id"), message.get("label")
        if not (isinstance(event_id, str) and isinstance(label, str) and label and self._is_new(node, message)):
            return []
        alert = _alert(node, label, message, is_late=is_late)
        if message.get("type") == "start":
            return _merged(self._at_start(alert, event_id))
        if message.get("type") == "end":
            return _merged(self._at_end(alert, event_id, finite_number(message.get("duration_seconds")) or 0.0))
        return []

    def due(self) -> list[Alert]:
        """Return the alerts of sounds that have lasted long enough by now."""
        now = self._steady()
        alerts: list[Alert] = []
        for key, waiting in [(key, each) for key, each in self._waiting.items() if each.due <= now]:
            del self._waiting[key]
            alerts += self._fire(waiting.rule, waiting.alert)
        return _merged(alerts)

    def next_due(self) -> float | None:
        """Return the time of the next alert that waits for the duration of its sound, monotonic seconds; else None."""
        return min((each.due for each in self._waiting.values()), default=None)

    def forget_sounds(self, node: str, label_slug: str | None = None) -> None:
        """Forget the sounds of a node that wait for their duration, because they have ended unheard.

        Args:
            node: the node.
            label_slug: slug of the label, as in the topic of its state; None for all labels.
        """
        plain = label_slug.removeprefix(AUDIOSET_PREFIX) if label_slug is not None else None
        for key, waiting in list(self._waiting.items()):
            if waiting.alert.node == node and plain in (None, _form(waiting.alert.label)):
                del self._waiting[key]

    def _at_start(self, alert: Alert, event_id: str) -> Iterator[Alert]:
        for rule in self._rules:
            seconds = rule.config.lasting_seconds
            if seconds == 0:
                yield from self._fire(rule, alert)
            elif not alert.is_late:
                waiting = _Waiting(rule, replace(alert, lasting_seconds=seconds), self._steady() + seconds)
                _remember(self._waiting, (rule.number, alert.node, event_id), waiting)

    def _at_end(self, alert: Alert, event_id: str, seconds: float) -> Iterator[Alert]:
        """Yield the alerts of a sound that was long enough, and is over before its timer, or was reported late."""
        for rule in self._rules:
            waiting = self._waiting.pop((rule.number, alert.node, event_id), None)
            is_judged_now = waiting is not None or alert.is_late
            if is_judged_now and 0 < rule.config.lasting_seconds < seconds:
                confidence = waiting.alert.confidence if waiting else alert.confidence
                lasting = replace(alert, confidence=confidence, lasting_seconds=rule.config.lasting_seconds)
                yield from self._fire(rule, lasting)

    def _fire(self, rule: _Rule, alert: Alert) -> Iterator[Alert]:
        """Yield the alert with the services of the rule, unless the rule does not apply, or cools down."""
        key, now = (rule.number, alert.node, alert.label), self._steady()
        if not rule.admits(alert, self._moment(alert)) or now < self._cooling.get(key, now):
            return
        self._cooling.pop(key, None)
        _remember(self._cooling, key, now + rule.config.cooldown_seconds)
        yield replace(alert, services=rule.config.services)

    def _moment(self, alert: Alert) -> float:
        return alert.started if alert.is_late and alert.started is not None else self._wall()

    def _is_new(self, node: str, message: dict[str, Any]) -> bool:
        key = (node, str(message.get("id") or (message["event_id"], message.get("type"))))
        if key in self._seen:
            return False
        _remember(self._seen, key, None)
        return True


def _form(label: str) -> str:
    """Return the form in which labels are compared: the slug, as in topics, or of other scripts the lower case."""
    return slug(label) or label.casefold()


def _merged(alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts with one for each sound: of several rules for it, the services of all."""
    services: dict[Alert, list[tuple[str, ...]]] = {}
    for alert in alerts:
        services.setdefault(replace(alert, services=()), []).append(alert.services)
    return [
        replace(alert, services=tuple(sorted({*chain.from_iterable(names)})) if all(names) else ())
        for alert, names in services.items()
    ]


def _remember(known: OrderedDict[Any, Any], key: Hashable, value: object) -> None:
    """Add an entry; beyond the largest number of them, the oldest is dropped."""
    known[key] = value
    if len(known) > _MOST:
        known.popitem(last=False)


def _alert(node: str, label: str, message: dict[str, Any], *, is_late: bool) -> Alert:
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
