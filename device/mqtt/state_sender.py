"""State sender: retained messages to the broker, which never delay event messages. Used from one thread."""

import time

import paho.mqtt.client as paho

from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.delivery_faults import describe_oversize, describe_silence
from device.mqtt.in_flight import InFlight, Sent
from device.mqtt.messages import Topics
from device.mqtt.retained_store import RetainedMessage, RetainedStore
from device.mqtt.suspects import Suspects
from device.mqtt.topic_faults import TopicFaults

_SILENT_SECONDS = 10.0
"""Time without an acknowledgement after which the messages of a topic are sent at QoS 0, s."""
_LIVE_SECONDS = 1.0
"""Time within which a broker ends the connection because of live values, s."""
_BYTES_IN_FLIGHT = 16 * 1024
"""Payloads of states in flight from which no other is sent: an event message waits behind them in the network."""


class StateSender:
    """Sender of the retained messages.

    A message that is too large for the broker is replaced by a smaller one, or left out. A refused one is sent again by
    `retry`. A topic whose messages are not acknowledged is sent at QoS 0, which has no acknowledgements.

    Args:
        retained: the messages.
        topics: of the node.
        in_flight: messages in flight, shared with the event messages.
        suspects: topics that may end connections.
        faults: receives faults of topics.
    """

    def __init__(
        self, retained: RetainedStore, topics: Topics, in_flight: InFlight, suspects: Suspects, faults: TopicFaults
    ) -> None:
        self._retained = retained
        self._topics = topics
        self._in_flight = in_flight
        self._suspects = suspects
        self._faults = faults
        self._limits = BrokerLimits()
        self._refused: set[str] = set()
        self._silent: set[str] = set()
        self._last_live: tuple[str, float] | None = None

    def begin(self, limits: BrokerLimits) -> None:
        """Begin a connection, and send all messages again: the broker may have lost them."""
        self._limits = limits
        self._refused.clear()
        self._silent.clear()
        self._last_live = None
        self._retained.mark_all_unsent()

    def send(self, client: paho.Client) -> float:
        """Send messages until the slots are full; return the time until it must be called again, s."""
        self._find_silent()
        while self._has_space() and (message := self._retained.pop_unsent(self._unavailable_topics())):
            self._send(client, message)
        return min((_SILENT_SECONDS - sent.age for sent in self._waiting() if sent.qos), default=_SILENT_SECONDS)

    def send_first(self, client: paho.Client, topic: str) -> None:
        """Send the message of one topic before all others, event messages included."""
        if topic not in self._unavailable_topics() and self._has_space() and (message := self._retained.take(topic)):
            self._send(client, message)

    def send_live(self, client: paho.Client, topic: str, payload: bytes) -> None:
        """Send a message at QoS 0 that nobody keeps, unless it would have to wait, or is too large for the broker."""
        if topic not in self._unavailable_topics() and self._has_space() and self._limits.fits(topic, payload):
            if self._last_live is not None:
                self._suspects.clear(topic)  # the connection has outlived the last one
            self._last_live = topic, time.monotonic()
            self._in_flight.publish(client, Sent(None, topic, "state", 0, len(payload), is_reduced=False), payload)

    def accept(self, sent: Sent) -> None:
        """Record that the broker has acknowledged a message, or that one at QoS 0 was sent."""
        if sent.qos:
            self._silent.discard(sent.topic)
        if isinstance(sent.item, RetainedMessage):
            self._retained.forget_deleted(sent.item)
        if not sent.is_reduced and sent.topic not in self._silent:
            self._faults.clear(sent.topic)

    def refuse(self, sent: Sent) -> None:
        """Record that the broker has refused a message; `retry` sends it again."""
        self._refused.add(sent.topic)

    def suspect(self) -> str | None:
        """Return the topic whose message may have ended the connection; None without one.

        It is that of the oldest message in flight, besides topics that are never answered, else that of live values of
        the last second, which have no answer.
        """
        for sent in self._in_flight.all():
            if sent.topic not in self._silent:
                return sent.topic
        if self._last_live is not None and time.monotonic() - self._last_live[1] < _LIVE_SECONDS:
            return self._last_live[0]
        return None

    def retry(self) -> None:
        """Send refused messages again; all messages if the broker keeps none."""
        for topic in self._refused:
            self._retained.mark_unsent(topic)
        self._refused.clear()
        if not self._limits.retain:
            self._retained.mark_all_unsent()

    def is_idle(self) -> bool:
        """Return whether each message was sent and answered; any thread."""
        return not self._retained and all(sent.topic in self._silent for sent in self._in_flight.of("state"))

    def _find_silent(self) -> None:
        """Find topics without acknowledgements, and send their last messages again without asking for one."""
        for sent in self._in_flight.of("state"):
            if sent.qos and sent.topic not in self._silent and sent.age > _SILENT_SECONDS:
                self._silent.add(sent.topic)
                self._retained.mark_unsent(sent.topic)
                self._faults.report(sent.topic, describe_silence(self._topics.kind(sent.topic)))

    def _has_space(self) -> bool:
        if sum(sent.size for sent in self._waiting()) >= _BYTES_IN_FLIGHT:
            return False
        return self._all_at_qos_0() or self._in_flight.free("state") > 0

    def _all_at_qos_0(self) -> bool:
        """Return whether the broker has no slots for states: its limit is low, or silent topics occupy all of them."""
        silent = sum(sent.qos > 0 and sent.topic in self._silent for sent in self._in_flight.of("state"))
        return self._limits.qos == 0 or silent >= self._in_flight.slots["state"]

    def _unavailable_topics(self) -> set[str]:
        """Return the topics whose last message is not answered yet, and those that are held."""
        return {sent.topic for sent in self._waiting()} | self._suspects.held()

    def _waiting(self) -> list[Sent]:
        """Return the messages in flight whose answer is still expected."""
        return [sent for sent in self._in_flight.of("state") if sent.topic not in self._silent or not sent.qos]

    def _send(self, client: paho.Client, message: RetainedMessage) -> None:
        payload = next((each for each in message.payloads if self._limits.fits(message.topic, each)), None)
        is_reduced = payload is not message.payloads[0]
        if is_reduced:
            kind = self._topics.kind(message.topic)
            fault = describe_oversize(kind, self._limits.packet_bytes, is_left_out=payload is None)
            self._faults.report(message.topic, fault)
        if payload is not None:
            qos = 0 if message.topic in self._silent or self._all_at_qos_0() else 1
            sent = Sent(message, message.topic, "state", qos, len(payload), is_reduced)
            self._in_flight.publish(client, sent, payload, retain=self._limits.retain)
