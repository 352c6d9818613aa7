"""Retained store: last payload of each retained topic, sent once to each broker connection."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class RetainedMessage:
    """Message that the broker keeps as the last one of its topic."""

    topic: str
    payload: bytes


class RetainedStore:
    """Last payload of each topic, with the topics that are not sent yet. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payloads: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Return True if a topic is not sent yet."""
        return bool(self._unsent)

    def set(self, topic: str, payload: bytes) -> None:
        """Set the payload of a topic. It replaces an earlier one, even one that is not sent yet."""
        with self._lock:
            self._payloads[topic] = payload
            self._unsent[topic] = None

    def pop_unsent(self) -> RetainedMessage | None:
        """Return the next message to send, and mark it as sent; None if all are sent."""
        with self._lock:
            topic = next(iter(self._unsent), None)
            if topic is None:
                return None
            del self._unsent[topic]
            return RetainedMessage(topic, self._payloads[topic])

    def mark_all_unsent(self) -> None:
        """Mark all messages as unsent, for a broker that may have none of them."""
        with self._lock:
            self._unsent = dict.fromkeys(self._payloads)
