"""Inbound queue: bounded queue of received messages, whose handlers run on a thread of its own."""

import contextlib
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import paho.mqtt.client as paho

from device.util.supervised_thread import SupervisedThread

Handler = Callable[[str, bytes], None]
"""Handles the topic and the payload of a message. Both come from outside, so they may contain anything."""

_QUEUE_LENGTH = 100
"""Messages that may wait for their handlers."""
_LARGEST_PAYLOAD = 64 * 1024
"""Largest accepted payload, in bytes."""
_OVERLOAD = 100
"""Messages dropped within one second from which the queue counts as overloaded."""
_LEAVE_SECONDS = 3.0


@dataclass(frozen=True)
class _Subscription:
    topic_filter: str
    handler: Handler
    accept_retained: bool


class InboundQueue:
    """Bounded queue of messages, and the thread that calls their handlers; a context manager.

    Messages are dropped and counted while the queue is full, and if they are too large. A flood of them then costs
    little memory and time.

    Args:
        on_overload: called when 100 messages were dropped within a second. Acknowledgements wait behind a flood in the
            network's buffers, so the subscription must be cancelled at the broker.

    Attributes:
        dropped: messages dropped so far.
    """

    def __init__(self, on_overload: Callable[[], None]) -> None:
        self.dropped = 0
        self._on_overload = on_overload
        self._second, self._dropped_in_second = 0, 0
        self._stopping = False
        self._subscriptions: list[_Subscription] = []
        self._queue: queue.Queue[tuple[Handler, str, bytes] | None] = queue.Queue(_QUEUE_LENGTH)
        self._thread = SupervisedThread("commands", self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.stop(self._wake, _LEAVE_SECONDS)

    @property
    def filters(self) -> list[str]:
        """Topic filters to subscribe to."""
        return [subscription.topic_filter for subscription in self._subscriptions]

    def add(self, topic_filter: str, handler: Handler, *, accept_retained: bool) -> None:
        """Add a handler, called for one message at a time that matches the filter.

        Args:
            topic_filter: full topic, with `+` and `#` as in MQTT.
            handler: called on this queue's thread.
            accept_retained: whether retained messages are handled. Commands must not be retained: the broker would
                repeat the last one at each connection.
        """
        # A new list: the network's thread may be reading the old one.
        self._subscriptions = [*self._subscriptions, _Subscription(topic_filter, handler, accept_retained)]

    def remove(self, topic_filter: str) -> None:
        """Remove the handlers of a filter; messages that wait for them are still handled."""
        self._subscriptions = [each for each in self._subscriptions if each.topic_filter != topic_filter]

    def put(self, message: paho.MQTTMessage) -> None:
        """Put a message from the network into the queue; never waits. Used from one thread."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._drop()
            return
        for each in self._subscriptions:
            if paho.topic_matches_sub(each.topic_filter, topic) and (each.accept_retained or not message.retain):
                self._put(each.handler, topic, bytes(message.payload))

    def _put(self, handler: Handler, topic: str, payload: bytes) -> None:
        if len(payload) > _LARGEST_PAYLOAD or self._queue.full():
            self._drop()
        else:
            self._queue.put_nowait((handler, topic, payload))  # only this thread puts, so there is space

    def _drop(self) -> None:
        self.dropped += 1
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._dropped_in_second = second, 0
        self._dropped_in_second += 1
        if self._dropped_in_second == _OVERLOAD:
            self._on_overload()

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):  # then the thread is busy, and reads `_stopping` next
            self._queue.put_nowait(None)

    def _work(self) -> None:
        while not self._stopping and (item := self._queue.get()) is not None:
            handler, topic, payload = item
            handler(topic, payload)
