"""Delivery: messages in flight to the broker, with their acknowledgements. Used from one thread; it never waits."""

import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.delivery_faults import describe_event_silence, describe_suspect, describe_topic_refusal
from device.mqtt.event_lane import RETRY_SECONDS
from device.mqtt.event_sender import EventSender
from device.mqtt.in_flight import InFlight, LaneName, Sent
from device.mqtt.messages import Topics
from device.mqtt.retained_store import RetainedStore
from device.mqtt.state_sender import StateSender
from device.mqtt.suspects import SUSPICIOUS_ENDS, Suspects
from device.mqtt.topic_faults import TopicFaults
from device.outbox.entry import Entry
from device.outbox.queue import Outbox
from device.util.clock import Clock, Stamp

_SILENT_SECONDS = 60.0
"""Time without an acknowledgement of an event message after which the connection is opened again, s."""
_LEAST_SECONDS = 0.01
_EVENTS: tuple[LaneName, ...] = ("live", "backlog")


class Delivery:
    """Sender of event messages and states, with their acknowledgements.

    Live event messages, late ones and states have slots and an order of their own, so that none delays another.

    Args:
        outbox: the queue of event messages, open.
        retained: the states.
        topics: of the node.
        clock: determines the age of messages, and corrects their times.
        live_seconds: age from which an event message is sent to `event/backlog`, s.
        faults: receives faults of topics.

    Attributes:
        acknowledged_at: monotonic time of the last acknowledgement, s; None before the first.
    """

    def __init__(
        self,
        outbox: Outbox,
        retained: RetainedStore,
        topics: Topics,
        clock: Clock,
        live_seconds: float,
        faults: TopicFaults,
    ) -> None:
        self.acknowledged_at: float | None = None
        self._outbox = outbox
        self._topics = topics
        self._faults = faults
        self._client: paho.Client | None = None
        self._suspects = Suspects()
        self._in_flight = InFlight()
        self._states = StateSender(retained, topics, self._in_flight, self._suspects, faults)
        self._events = EventSender(outbox, topics, clock, live_seconds, self._in_flight, self._suspects, faults)
        self._acknowledged: list[int] = []
        self._retried_at = time.monotonic()

    @property
    def client(self) -> paho.Client | None:
        """Client of the current connection; None without a connection."""
        return self._client

    @property
    def has_sent_retained(self) -> bool:
        """True if the broker has answered every retained message, or is not connected."""
        return self._client is None or self._states.is_idle()

    def on_connect(self, client: paho.Client, limits: BrokerLimits) -> None:
        """Begin with a new connection, within the broker's limits."""
        self._client = client
        self._in_flight.begin(limits.in_flight, one_state=bool(self._suspects))
        self._states.begin(limits)
        self._events.begin(limits)
        for name, restriction in limits.restrictions().items():
            if restriction:
                self._faults.report(name, restriction)
            else:
                self._faults.clear(name)

    def on_disconnect(self, client: paho.Client, *, by_message: bool) -> None:
        """Forget in-flight messages; they are sent again from the outbox, live or late by their age then."""
        if client is not self._client:
            return
        self._client = None
        if by_message and (topic := self._states.suspect()) is not None:
            ends = self._suspects.blame(topic)
            if ends >= SUSPICIOUS_ENDS:
                self._faults.report(topic, describe_suspect(self._topics.kind(topic), ends))
        self._in_flight.clear()

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """Record the broker's acknowledgement, or its refusal, of a message; at QoS 0, that it was sent."""
        if client is not self._client or (sent := self._in_flight.pop(mid)) is None:
            return
        if sent.item is not None:  # live values are only sent now, see `StateSender.send_live`
            self._suspects.clear(sent.topic)
        if reason.is_failure:
            self._faults.report(
                sent.topic, describe_topic_refusal("messages on", self._topics.kind(sent.topic), reason)
            )
            self._refuse(sent, reason.value)
        else:
            if sent.qos:
                self.acknowledged_at = time.monotonic()
            self._accept(sent)

    def enqueue(self, message: dict[str, Any], created: Stamp) -> None:
        """Store an event message in the outbox."""
        self._events.add(self._outbox.append(message, created))

    def send_live(self, payload: bytes) -> None:
        """Send live values now, or never: with no connection, or while the last ones wait in the network's buffer."""
        if self._client is not None:
            self._states.send_live(self._client, self._topics.live, payload)

    def retry_refused(self) -> None:
        """Send the messages again that the broker has refused: its rules may have changed."""
        self._states.retry()
        self._events.retry()

    def process(self) -> float:
        """Delete acknowledged messages, retry after an error, and send the next messages.

        Returns:
            Time after which it must be called again, s.
        """
        self._outbox.delete(self._acknowledged)
        self._acknowledged.clear()
        if time.monotonic() - self._retried_at >= RETRY_SECONDS:
            self._retried_at = time.monotonic()
            if self._outbox.retry_disk():
                # Some messages could not be read before, or have new numbers; those in flight are sent twice.
                self._in_flight.forget_events()
                self._events.forget()
        if self._client is None:
            return RETRY_SECONDS
        silence_seconds = self._end_silence(self._client)
        if self._client is None:
            return RETRY_SECONDS
        self._states.send_first(self._client, self._topics.status)
        live_seconds = self._events.send(self._client, "live")
        state_seconds = self._states.send(self._client)
        backlog_seconds = self._events.send(self._client, "backlog")
        return max(_LEAST_SECONDS, min(silence_seconds, live_seconds, state_seconds, backlog_seconds))

    def _accept(self, sent: Sent) -> None:
        if isinstance(sent.item, Entry):
            lane = self._events.lanes[sent.lane]
            lane.accept()
            self._acknowledged.append(sent.item.sequence)
            if not sent.is_reduced and not lane.has_passed_over:
                self._faults.clear(sent.topic)
        else:
            self._states.accept(sent)

    def _refuse(self, sent: Sent, reason: int) -> None:
        if isinstance(sent.item, Entry):
            self._events.lanes[sent.lane].refuse(sent.item.sequence, reason)
        else:
            self._states.refuse(sent)

    def _end_silence(self, client: paho.Client) -> float:
        """End the connection if an event message is not acknowledged for long: only a new one may send it again.

        Returns:
            Time until it must be called again, s.
        """
        oldest = [sent for lane in _EVENTS if (sent := self._in_flight.oldest(lane)) is not None]
        for sent in oldest:
            if sent.age > _SILENT_SECONDS:
                self._faults.report(sent.topic, describe_event_silence(sent.topic, _SILENT_SECONDS))
                client.disconnect()
                self._client = None
                self._in_flight.clear()
        return min((_SILENT_SECONDS - sent.age for sent in oldest), default=_SILENT_SECONDS)
