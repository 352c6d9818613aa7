"""Retained values: of each topic the last one, said once to each broker that we meet."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class RetainedMessage:
    """A value that the broker shall keep."""

    topic: str
    payload: bytes


class RetainedStore:
    """The last value of each topic, and which of them are still to be said. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payloads: dict[str, bytes] = {}
        self._unsaid: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Whether something is to be said."""
        return bool(self._unsaid)

    def set(self, topic: str, payload: bytes) -> None:
        """Take a value; one that was not said yet is forgotten."""
        with self._lock:
            self._payloads[topic] = payload
            self._unsaid[topic] = None

    def next(self) -> RetainedMessage | None:
        """A value that is to be said now; None where all is said."""
        with self._lock:
            topic = next(iter(self._unsaid), None)
            if topic is None:
                return None
            del self._unsaid[topic]
            return RetainedMessage(topic, self._payloads[topic])

    def mark_all_unsent(self) -> None:
        """A broker is there that may know none of them."""
        with self._lock:
            self._unsaid = dict.fromkeys(self._payloads)
