"""Delivery: messages in flight to the broker, with their order and topics. Used from one thread; it never waits."""

import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.mqtt.messages import Topics, correct_times, encode
from device.mqtt.retained_store import RetainedMessage, RetainedStore
from device.outbox.entry import Entry
from device.outbox.queue import Outbox
from device.util.clock import Clock, Stamp
from device.util.log_throttle import LogThrottle

RETRY_SECONDS = 5.0
"""Pause before another attempt after an error of the disk or a refusal by the broker."""


class Delivery:
    """Sender of event messages and retained messages, with their acknowledgements.

    Args:
        outbox: the queue of event messages, open.
        retained: the retained messages.
        topics: of the node.
        clock: determines the age of messages, and corrects their times.
        live_seconds: age from which an event message is sent to `event/backlog`, s.

    Attributes:
        acknowledged_at: monotonic time of the last acknowledgement, s; None before the first.
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
        self._last_sent = 0
        self._acknowledged: list[int] = []
        self._refused = False
        self._retried_at = time.monotonic()
        self._log_throttle = LogThrottle()

    @property
    def client(self) -> paho.Client | None:
        """Client of the current connection; None without a connection."""
        return self._client

    @property
    def has_sent_retained(self) -> bool:
        """True if the broker has acknowledged every retained message, or is not connected."""
        in_flight = any(isinstance(item, RetainedMessage) for item in list(self._in_flight.values()))
        return self._client is None or not (self._retained or in_flight)

    def on_connect(self, client: paho.Client, in_flight: int) -> None:
        """Begin with a new connection, and send all retained messages again: the broker may have lost them.

        Args:
            client: the new client.
            in_flight: limit of messages in flight.
        """
        self._client, self._limit = client, in_flight
        self._retained.mark_all_unsent()

    def on_disconnect(self, client: paho.Client) -> None:
        """Forget in-flight messages; they are sent again from the outbox, live or late by their age then."""
        if client is self._client:
            self._client = None
            self._in_flight.clear()
            self._last_sent = 0

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """Record the broker's acknowledgement, or its refusal, of a message."""
        if client is not self._client or (item := self._in_flight.pop(mid, None)) is None:
            return
        if reason.is_failure:
            self._log_throttle.warning(f"the broker refuses messages of this node ({reason}). Check its access rules")
            self._refused, self._last_sent = True, 0
            return
        self.acknowledged_at = time.monotonic()
        if isinstance(item, Entry):
            self._acknowledged.append(item.sequence)

    def enqueue(self, message: dict[str, Any], created: Stamp) -> None:
        """Store an event message in the outbox."""
        self._outbox.append(message, created)

    def process(self) -> None:
        """Delete acknowledged messages, retry after an error, and send the next messages."""
        self._outbox.delete(self._acknowledged)
        self._acknowledged.clear()
        if time.monotonic() - self._retried_at >= RETRY_SECONDS:
            self._retried_at, self._refused = time.monotonic(), False
            if self._outbox.retry_disk():
                # Some messages could not be read before, or have new numbers; those in flight are sent twice.
                self._last_sent = 0
                self._in_flight = {
                    mid: item for mid, item in self._in_flight.items() if isinstance(item, RetainedMessage)
                }
        if self._client is not None:
            self._send(self._client)

    def _send(self, client: paho.Client) -> None:
        """Send retained messages, then event messages from the oldest, up to the limit of messages in flight."""
        while len(self._in_flight) < self._limit and (item := self._retained.pop_unsent()):
            self._in_flight[client.publish(item.topic, item.payload, qos=1, retain=True).mid] = item
        free = self._limit - len(self._in_flight)
        if free <= 0 or self._refused:
            return
        for entry in self._outbox.entries_after(self._last_sent, free):
            topic, payload = self._topic_and_payload(entry)
            self._in_flight[client.publish(topic, payload, qos=1).mid] = entry
            self._last_sent = entry.sequence

    def _topic_and_payload(self, entry: Entry) -> tuple[str, bytes]:
        """Return topic and payload: live, or backlog for a late message, which must not trigger automations."""
        message = correct_times(entry.message, entry.created, self._clock)
        is_of_this_run = entry.sequence >= self._outbox.first_of_run
        if is_of_this_run and self._clock.steady() - entry.created.steady <= self._live_seconds:
            return self._topics.event, encode(message)
        return self._topics.backlog, encode(message | {"replayed": True})
