"""Delivery: what is under way to the broker, in which order, on which topic. Pure: one thread at a time, no waiting."""

import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.mqtt.messages import Topics, corrected, encode
from device.mqtt.retained_store import RetainedMessage, RetainedStore
from device.outbox.queue import Outbox
from device.outbox.sqlite_table import Entry
from device.util.clock import Clock, Stamp
from device.util.log_throttle import LogThrottle

RETRY_SECONDS = 5.0
"""How often a disk or a broker that refused something is tried again."""


class Delivery:
    """Hands events and retained values to the broker, and takes its confirmations.

    Args:
        outbox: where events wait, open.
        retained: where values wait.
        topics: of the node.
        clock: tells how old a message is, and whether its times are to be put right.
        live_seconds: age from which an event goes to `event/backlog`.
    """

    def __init__(
        self, outbox: Outbox, retained: RetainedStore, topics: Topics, clock: Clock, live_seconds: float
    ) -> None:
        self.acknowledged_at: float | None = None
        self._outbox = outbox
        self._retained = retained
        self._topics = topics
        self._clock = clock
        self._live_seconds = live_seconds
        self._client: paho.Client | None = None
        self._limit = 0
        self._in_flight: dict[int, Entry | RetainedMessage] = {}
        self._sent_up_to = 0
        self._confirmed: list[int] = []
        self._refused = False
        self._tried_at = time.monotonic()
        self._log_throttle = LogThrottle()

    @property
    def client(self) -> paho.Client | None:
        """The connection that stands; None where there is none."""
        return self._client

    @property
    def has_said_all(self) -> bool:
        """Whether every retained value has reached the broker, or nobody is there to say it to."""
        under_way = any(isinstance(item, RetainedMessage) for item in list(self._in_flight.values()))
        return self._client is None or not (self._retained or under_way)

    def begin(self, client: paho.Client, in_flight: int) -> None:
        """A broker is there, which takes so many messages at a time. It may have forgotten all that we ever said."""
        self._client, self._limit = client, in_flight
        self._retained.mark_all_unsent()

    def end(self, client: paho.Client) -> None:
        """Nobody will confirm what was under way: it is sent again, from the outbox, as late as it is by then."""
        if client is self._client:
            self._client = None
            self._in_flight.clear()
            self._sent_up_to = 0

    def store(self, message: dict[str, Any], made: Stamp) -> None:
        """Take an event message."""
        self._outbox.append(message, made)

    def confirm(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """The broker has taken a message, or refuses it."""
        if client is not self._client or (item := self._in_flight.pop(mid, None)) is None:
            return
        if reason.is_failure:
            self._log_throttle.warning(f"the broker does not take our messages ({reason}). Check its access rules")
            self._refused, self._sent_up_to = True, 0
            return
        self.acknowledged_at = time.monotonic()
        if isinstance(item, Entry):
            self._confirmed.append(item.sequence)

    def go_on(self) -> None:
        """Forget what is confirmed, try again what failed, and hand over what waits."""
        self._outbox.delete(self._confirmed)
        self._confirmed.clear()
        if time.monotonic() - self._tried_at >= RETRY_SECONDS:
            self._tried_at, self._refused = time.monotonic(), False
            if self._outbox.retry_disk():
                self._sent_up_to = 0  # what could not be read then; what is under way comes twice
        if self._client is not None:
            self._fill(self._client)

    def _fill(self, client: paho.Client) -> None:
        """Hand over what waits, values first, then events from the oldest, as far as the broker keeps up."""
        while len(self._in_flight) < self._limit and (value := self._retained.next()):
            self._in_flight[client.publish(value.topic, value.payload, qos=1, retain=True).mid] = value
        room = self._limit - len(self._in_flight)
        if room <= 0 or self._refused:
            return
        for entry in self._outbox.entries_after(self._sent_up_to, room):
            topic, payload = self._address(entry)
            self._in_flight[client.publish(topic, payload, qos=1).mid] = entry
            self._sent_up_to = entry.sequence

    def _address(self, entry: Entry) -> tuple[str, bytes]:
        """Topic and payload: what happened just now is live; the rest must not fire anyone's lights."""
        message = corrected(entry.message, entry.created, self._clock)
        is_of_this_run = entry.sequence >= self._outbox.first_of_run
        if is_of_this_run and self._clock.steady() - entry.created.steady <= self._live_seconds:
            return self._topics.event, encode(message)
        return self._topics.backlog, encode(message | {"replayed": True})
