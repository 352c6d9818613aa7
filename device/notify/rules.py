"""Rules of notifications: from event messages to alerts."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from device.config.day_spans import DaySpans
from device.config.models import NotifyRule
from device.model.sound_names import AUDIOSET_PREFIX
from device.mqtt.subscriber import finite_number
from device.notify.alerts import Alert, alert_of, merged
from device.notify.lasting import LastingSounds, remember
from device.util.text import slug


@dataclass(frozen=True)
class _Rule:
    """Rule with its number from 0, its parsed hours and labels, and the sounds that must last; None at their start."""

    number: int
    config: NotifyRule
    hours: DaySpans
    forms: frozenset[str]
    lasting: LastingSounds | None

    def counts(self, alert: Alert) -> bool:
        """Return whether label, node and confidence apply."""
        return (
            (not self.forms or _form(alert.label) in self.forms)
            and (not self.config.nodes or alert.node in self.config.nodes)
            and alert.confidence >= self.config.confidence
        )

    def admits(self, alert: Alert, moment: float) -> bool:
        """Return whether the rule applies; `moment` is Unix seconds."""
        return (
            self.counts(alert)
            and (not self.config.hours or self.hours.hold(moment))
            and (not alert.is_late or self.config.late)
        )


class RuleBook:
    """Rules and their cool-downs.

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
        self._steady, self._wall = steady, wall
        self._rules = [self._parsed(number, rule) for number, rule in enumerate(rules)]
        self._lasting = [(rule, rule.lasting) for rule in self._rules if rule.lasting is not None]
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
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
        alert = alert_of(node, label, message, is_late=is_late)
        if message.get("type") == "start":
            return merged(self._at_start(alert, event_id))
        if message.get("type") == "end":
            return merged(self._at_end(alert, event_id, finite_number(message.get("duration_seconds")) or 0.0))
        return []

    def due(self) -> list[Alert]:
        """Return the alerts of sounds that have lasted long enough by now."""
        return merged(
            found for rule, lasting in self._lasting for alert in lasting.due() for found in self._fire(rule, alert)
        )

    def next_due(self) -> float | None:
        """Return the time of the next alert that waits for the duration of its sound, monotonic seconds; else None."""
        times = (lasting.next_due() for _, lasting in self._lasting)
        return min((due for due in times if due is not None), default=None)

    def end_unreported(self, node: str, label_slug: str | None = None) -> None:
        """End the sounding events of a node, because their `end` messages will not arrive.

        Args:
            node: the node.
            label_slug: slug of the label, as in the topic of its state; None for all labels.
        """
        form = label_slug.removeprefix(AUDIOSET_PREFIX) if label_slug is not None else None
        for _, lasting in self._lasting:
            lasting.end_unreported(node, form, _form)

    def _parsed(self, number: int, rule: NotifyRule) -> _Rule:
        seconds = rule.lasting_seconds
        lasting = LastingSounds(seconds, rule.pause_seconds, self._steady) if seconds else None
        return _Rule(number, rule, DaySpans(rule.hours), frozenset(map(_form, rule.labels)), lasting)

    def _at_start(self, alert: Alert, event_id: str) -> Iterator[Alert]:
        for rule in self._rules:
            if rule.lasting is None:
                yield from self._fire(rule, alert)
            elif rule.counts(alert) and not alert.is_late:  # a late sound is judged when its end is known
                rule.lasting.start(alert, event_id)

    def _at_end(self, alert: Alert, event_id: str, seconds: float) -> Iterator[Alert]:
        """Yield the alerts of sounds that were long enough, and are over before their timers, or were reported late."""
        for rule, lasting in self._lasting:
            found = lasting.end(alert, event_id, seconds)
            if found is None and alert.is_late and rule.counts(alert):
                found = lasting.end_late(alert, seconds)
            if found is not None:
                yield from self._fire(rule, found)

    def _fire(self, rule: _Rule, alert: Alert) -> Iterator[Alert]:
        """Yield the alert with the services of the rule, unless the rule does not apply, or cools down."""
        key, now = (rule.number, alert.node, alert.label), self._steady()
        if not rule.admits(alert, self._moment(alert)) or now < self._cooling.get(key, now):
            return
        self._cooling.pop(key, None)
        remember(self._cooling, key, now + rule.config.cooldown_seconds)
        yield replace(alert, services=rule.config.services)

    def _moment(self, alert: Alert) -> float:
        return alert.started if alert.is_late and alert.started is not None else self._wall()

    def _is_new(self, node: str, message: dict[str, Any]) -> bool:
        key = (node, str(message.get("id") or (message["event_id"], message.get("type"))))
        if key in self._seen:
            return False
        remember(self._seen, key, None)
        return True


def _form(label: str) -> str:
    """Return the form in which labels are compared: the slug, as in topics, or of other scripts the lower case."""
    return slug(label) or label.casefold()
