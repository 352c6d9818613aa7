"""Retained store: last payload of each retained topic, sent once to each broker connection."""

import threading
from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class RetainedMessage:
    """Message that the broker keeps as the last one of its topic.

    Attributes:
        topic: full topic.
        payloads: the payload, then smaller ones for a broker with a limit, the best first.
    """

    topic: str
    payloads: tuple[bytes, ...]


class RetainedStore:
    """Last payload of each topic, with the topics that are not sent yet. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payloads: dict[str, tuple[bytes, ...]] = {}
        self._unsent: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Return True if a topic is not sent yet."""
        return bool(self._unsent)

    def set(self, topic: str, *payloads: bytes) -> None:
        """Set the payload of a topic. It replaces an earlier one, even one that is not sent yet."""
        with self._lock:
            self._payloads[topic] = payloads
            self._unsent[topic] = None

    def pop_unsent(self, skip: Container[str] = ()) -> RetainedMessage | None:
        """Return the next message to send, and mark it as sent; None if there is none besides the topics in `skip`."""
        with self._lock:
            topic = next((topic for topic in self._unsent if topic not in skip), None)
        return None if topic is None else self.take(topic)

    def take(self, topic: str) -> RetainedMessage | None:
        """Return the message of one topic, and mark it as sent; None if it is already sent."""
        with self._lock:
            if topic not in self._unsent:
                return None
            del self._unsent[topic]
            return RetainedMessage(topic, self._payloads[topic])

    def forget_deleted(self, message: RetainedMessage) -> None:
        """Forget a topic whose deletion the broker has acknowledged: another node may use it later."""
        with self._lock:
            if not message.payloads[0] and self._payloads.get(message.topic) == message.payloads:
                del self._payloads[message.topic]
                self._unsent.pop(message.topic, None)

    def mark_unsent(self, topic: str) -> None:
        """Mark the message of a topic as unsent, because the broker did not accept it."""
        with self._lock:
            if topic in self._payloads:
                self._unsent[topic] = None

    def mark_all_unsent(self) -> None:
        """Mark all messages as unsent, for a broker that may have none of them."""
        with self._lock:
            self._unsent = dict.fromkeys(self._payloads)
