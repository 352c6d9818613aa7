"""Subscriptions of the node at the broker, with the broker's answers. Used from the publisher's thread."""

import time

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.mqtt.delivery_faults import describe_topic_refusal, describe_unanswered
from device.mqtt.inbound_queue import InboundQueue
from device.mqtt.topic_faults import TopicFaults
from device.util.log_throttle import LogThrottle

_PAUSE_SECONDS = 10.0
"""Time without subscriptions after too many commands."""
_ANSWER_SECONDS = 10.0
"""Time for the broker's answer to a subscription."""
_WAIT_SECONDS = 2.0
"""Longest time for which messages wait for the first answer of a connection."""


class Subscriptions:
    """Subscriptions to the filters of the inbound queue, made at each connection.

    Args:
        inbound: the queue of received messages.
        faults: receives refused and unanswered subscriptions, by topic filter.
    """

    def __init__(self, inbound: InboundQueue, faults: TopicFaults) -> None:
        self._inbound = inbound
        self._faults = faults
        self._client: paho.Client | None = None
        self._asked: dict[int, tuple[str, float]] = {}
        self._answered: set[str] = set()
        self._refused: set[str] = set()
        self._paused_until: float | None = None
        self._log_throttle = LogThrottle()

    def begin(self, client: paho.Client) -> None:
        """Subscribe to all filters at a new connection."""
        self._client = client
        self._refused.clear()
        self._answered.clear()
        self._subscribe_all(client)

    def end(self) -> None:
        """Forget the connection."""
        self._client = None

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe to a filter, if connected and not paused."""
        if self._client is not None and self._paused_until is None:
            self._subscribe(self._client, topic_filter)

    def unsubscribe(self, topic_filter: str) -> None:
        """Cancel the subscription to a filter."""
        self._faults.clear(topic_filter)
        if self._client is not None:
            self._client.unsubscribe(topic_filter)

    def on_answer(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """Record the broker's answer to a subscription."""
        if client is not self._client or mid not in self._asked:
            return
        topic_filter, _ = self._asked.pop(mid)
        self._answered.add(topic_filter)
        if reason.is_failure:
            self._refused.add(topic_filter)
            self._faults.report(topic_filter, describe_topic_refusal("the subscription to", topic_filter, reason))
        else:
            self._faults.clear(topic_filter)

    def wait_seconds(self, topic_filter: str) -> float:
        """Return for how long messages should wait for the broker's first answer to a subscription, s.

        0 if it was answered at this connection, with a refusal as well, or was not asked for, or is overdue.
        """
        if topic_filter in self._answered:
            return 0.0
        asked_at = [at for each, at in self._asked.values() if each == topic_filter]
        return max(0.0, min(asked_at) + _WAIT_SECONDS - time.monotonic()) if asked_at else 0.0

    def retry(self) -> None:
        """Subscribe again to the filters that were refused or not answered."""
        now = time.monotonic()
        for mid, (topic_filter, asked_at) in list(self._asked.items()):
            if now - asked_at > _ANSWER_SECONDS:
                self._faults.report(topic_filter, describe_unanswered(f"the subscription to {topic_filter}"))
                del self._asked[mid]
                self._refused.add(topic_filter)
        again = sorted(self._refused)
        self._refused.clear()
        for topic_filter in again:
            self.subscribe(topic_filter)

    def pause(self) -> None:
        """Cancel the subscriptions for a while, so that a flood of commands does not delay events."""
        if self._client is not None and self._inbound.filters:
            self._log_throttle.warning(
                f"too many commands at once: commands are ignored for {_PAUSE_SECONDS:.0f} s. Send fewer"
            )
            self._client.unsubscribe(self._inbound.filters)
            self._paused_until = time.monotonic() + _PAUSE_SECONDS

    def end_pause(self) -> None:
        """Subscribe again if the pause is over."""
        if self._paused_until is not None and time.monotonic() >= self._paused_until and self._client is not None:
            self._subscribe_all(self._client)

    def _subscribe_all(self, client: paho.Client) -> None:
        self._paused_until = None
        self._asked.clear()
        for topic_filter in self._inbound.filters:
            self._subscribe(client, topic_filter)

    def _subscribe(self, client: paho.Client, topic_filter: str) -> None:
        _, mid = client.subscribe(topic_filter, qos=1)
        if mid is not None:
            self._asked[mid] = topic_filter, time.monotonic()
