"""What others send us: taken in without delay, a bounded number at a time, handled on a thread of its own."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import paho.mqtt.client as paho

Handler = Callable[[str, bytes], None]
"""Takes the topic and the payload of a message. Anything may be in them: they come from outside."""

_WAITING = 100
_LARGEST = 64 * 1024
"""Bytes of payload that a message may have."""
_FLOOD = 100
"""Messages dropped within a second that make a flood."""
_LEAVE_SECONDS = 3.0


@dataclass(frozen=True)
class _Subscription:
    topic_filter: str
    handler: Handler
    take_retained: bool


class InboundQueue:
    """A bounded queue of messages, and the thread that hands them to their handlers; a context manager.

    A flood costs us neither memory nor time: what finds the queue full, or is too large, is dropped and counted.

    Args:
        on_flood: called when much is dropped at once. What the network holds of a flood, confirmations of our events
            wait behind, so it must be turned off at the broker.
    """

    def __init__(self, on_flood: Callable[[], None]) -> None:
        self.dropped = 0
        self._on_flood = on_flood
        self._second, self._dropped_in_it = 0, 0
        self._stopping = False
        self._subscriptions: list[_Subscription] = []
        self._waiting: queue.Queue[tuple[Handler, str, bytes] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="commands", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        with contextlib.suppress(queue.Full):  # then the thread is busy, and sees that we leave
            self._waiting.put_nowait(None)
        self._thread.join(_LEAVE_SECONDS)

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [subscription.topic_filter for subscription in self._subscriptions]

    def add(self, topic_filter: str, handler: Handler, *, take_retained: bool) -> None:
        """Have a handler called, one message at a time, for each that matches the filter.

        Args:
            topic_filter: full topic, with `+` and `#` as in MQTT.
            handler: runs on our thread.
            take_retained: whether a message that the broker had kept counts: a command must not, or the last one
                would be obeyed again at each connection.
        """
        self._subscriptions.append(_Subscription(topic_filter, handler, take_retained))

    def take(self, message: paho.MQTTMessage) -> None:
        """Take a message from the network; never waits."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._drop()
            return
        for each in self._subscriptions:
            if paho.topic_matches_sub(each.topic_filter, topic) and (each.take_retained or not message.retain):
                self._put(each.handler, topic, bytes(message.payload))

    def _put(self, handler: Handler, topic: str, payload: bytes) -> None:
        if len(payload) > _LARGEST or self._waiting.full():
            self._drop()
        else:
            self._waiting.put_nowait((handler, topic, payload))  # only this thread puts, so there is room

    def _drop(self) -> None:
        self.dropped += 1
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._dropped_in_it = second, 0
        self._dropped_in_it += 1
        if self._dropped_in_it == _FLOOD:
            self._on_flood()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None and not self._stopping:
            handler, topic, payload = item
            handler(topic, payload)
