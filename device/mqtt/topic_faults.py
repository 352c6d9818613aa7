"""Topic faults: topics that the broker refuses, does not acknowledge or cannot take, each with its cure."""

import threading

from device.util.log_throttle import LogThrottle


class TopicFaults:
    """Current fault of each topic, logged once an hour and listed in `health`. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, str] = {}
        self._log_throttle = LogThrottle()

    def report(self, topic: str, fault: str) -> None:
        """Store and log the fault of a topic.

        Args:
            topic: the exact topic, or a topic filter.
            fault: sentence with the cure. It names a kind of topics, so that the faults of a kind are logged once.
        """
        with self._lock:
            self._faults[topic] = fault
            self._log_throttle.warning(fault)

    def clear(self, topic: str) -> None:
        """Forget the fault of a topic, because a message of it was acknowledged."""
        with self._lock:
            self._faults.pop(topic, None)

    def sentences(self) -> tuple[str, ...]:
        """Return each current fault once, in the order of their beginning."""
        with self._lock:
            return tuple(dict.fromkeys(self._faults.values()))
