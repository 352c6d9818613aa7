"""Notifier: messages of the broker through rules and outages to notifications, until it is stopped."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from device.config.models import NotifyConfig
from device.model.sound_names import AUDIOSET_PREFIX
from device.mqtt.messages import OFFLINE, ONLINE
from device.mqtt.subscriber import EVENT_FILTERS, Received, parse_message
from device.notify.outages import BROKER, Outage, OutageWatch
from device.notify.rules import RuleBook
from device.notify.texts import Text, Writer
from device.util.text import one_line, similar_names, slug

_LOGGER = logging.getLogger(__name__)

FILTERS: Final = (*EVENT_FILTERS, "earshot/+/status", "earshot/+/sound/+")
_TICK_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 10.0
"""Time for the retained states of all nodes to arrive, s."""
_MOST_LABELS: Final = 2000
Send = Callable[[Text, tuple[str, ...]], None]
"""Function that sends a notification to the services of these names; to all without any."""


class Broker(Protocol):
    """Connection to the broker, as `Subscriber` is one."""

    @property
    def broker(self) -> str:
        """Name of the broker."""

    @property
    def is_connected(self) -> bool:
        """True while the broker is there."""

    def receive(self, seconds: float) -> Received | None:
        """Return the next message; None after `seconds` without one."""


class Notifier:
    """Rules, outages and texts of the notifications.

    Args:
        config: `notify` of config.yaml.
        broker: delivers the messages of `FILTERS`.
        send: sends a notification; must return at once.
        steady: monotonic seconds.
        wall: Unix seconds of the system clock.
    """

    def __init__(
        self,
        config: NotifyConfig,
        broker: Broker,
        send: Send,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._broker = broker
        self._send = send
        self._steady = steady
        self._rules = RuleBook(config.rules, steady, wall)
        self._outages = OutageWatch(config.offline_minutes, steady, wall)
        self._writer = Writer(config.language, wall)
        self._labels: set[str] = set()
        self._labels_due: float | None = None
        self._are_labels_checked = False

    def run(self, stopping: threading.Event) -> None:
        """Notify until `stopping` is set and a message, or five seconds, have passed."""
        while not stopping.is_set():
            due = self._rules.next_due()
            wait = _TICK_SECONDS if due is None else min(_TICK_SECONDS, due - self._steady())
            self.step(self._broker.receive(wait))

    def step(self, received: Received | None) -> None:
        """Process a message, if there is one, and everything that is due by now."""
        if received is not None:
            self._process(received)
        self._report(self._outages.record(BROKER, is_away=not self._broker.is_connected))
        self._report(self._outages.due())
        for alert in self._rules.due():
            self._send(self._writer.alert(alert), alert.services)
        self._check_labels()

    def _process(self, received: Received) -> None:
        _, node, kind, *rest = received.topic.split("/")
        if kind == "event":
            is_backlog = bool(rest)
            message = parse_message(received.payload)
            is_late = is_backlog or message.get("replayed") is True
            for alert in self._rules.judge(node, message, is_late=is_late):
                self._send(self._writer.alert(alert), alert.services)
        elif kind == "status":
            self._process_status(node, received.payload)
        elif rest:
            self._process_sound(node, rest[0], received)

    def _process_status(self, node: str, payload: bytes) -> None:
        if payload == ONLINE:
            self._report(self._outages.record(node, is_away=False))
        elif payload == OFFLINE:
            self._rules.end_unreported(node)
            self._outages.record(node, is_away=True)
        elif not payload:  # `earshot forget` has deleted the node
            self._outages.forget(node)

    def _process_sound(self, node: str, label_slug: str, received: Received) -> None:
        if received.is_retained and received.payload == b"OFF":  # its `end` was published while the broker was away
            self._rules.end_unreported(node, label_slug)
        if len(self._labels) < _MOST_LABELS:
            self._labels.add(label_slug)

    def _report(self, outages: Sequence[Outage]) -> None:
        for outage in outages:
            if outage.node == BROKER:
                text = self._writer.broker(self._broker.broker, outage.since, is_back=outage.is_over)
            else:
                text = self._writer.sensor(outage.node, outage.since, is_back=outage.is_over)
            self._send(text, ())

    def _check_labels(self) -> None:
        """Log each label of a rule that no node has, once: a typing error would otherwise never show."""
        if self._are_labels_checked or not self._labels:
            return
        if self._labels_due is None:
            self._labels_due = self._steady() + _SETTLE_SECONDS
        if self._steady() < self._labels_due:
            return
        self._are_labels_checked = True
        for number, rule in enumerate(self._config.rules):
            for label in rule.labels:
                if not {slug(label), AUDIOSET_PREFIX + slug(label)} & self._labels:
                    similar = similar_names(slug(label), self._labels, 1)
                    cure = f"Did you mean {one_line(similar[0])}?" if similar else "`earshot labels` lists all"
                    _LOGGER.warning("notify.rules.%d.labels: no node has %s now. %s", number, one_line(label), cure)
