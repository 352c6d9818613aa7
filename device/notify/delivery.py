"""Delivery of notifications: for each service a thread, a bounded queue, and retries with pauses."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol, Self

from device.notify.texts import Text
from device.util.log_throttle import LogThrottle
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_MOST_WAITING = 50
"""Most notifications that wait for a service. Beyond it, the oldest is dropped, because the newest matter most."""
_FIRST_PAUSE_SECONDS = 5.0
_LAST_PAUSE_SECONDS = 60.0
_OLDEST_SECONDS = 3600.0
"""Age from which a notification is dropped, s."""
_LEAVE_SECONDS = 3.0


class Receiver(Protocol):
    """Service to which notifications are sent."""

    name: str

    def send(self, text: Text) -> str:
        """Send a notification; return the fault with its cure, or an empty text."""


class Deliveries:
    """Deliveries to all services; a context manager.

    Args:
        services: receive the notifications.
    """

    def __init__(self, services: Iterable[Receiver]) -> None:
        self._deliveries = [Delivery(service) for service in services]

    def __enter__(self) -> Self:
        """Start the threads."""
        for delivery in self._deliveries:
            delivery.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send once what waits, for 3 s at most altogether, and end the threads."""
        for delivery in self._deliveries:
            delivery.leave()
        deadline = time.monotonic() + _LEAVE_SECONDS
        for delivery in self._deliveries:
            delivery.wait(max(0.0, deadline - time.monotonic()))

    def send(self, text: Text, names: tuple[str, ...]) -> None:
        """Send a notification to the services of these names, to all without any; never waits."""
        _LOGGER.info("notification to %s: %s", ", ".join(names) or "all services", text.title)
        for delivery in self._deliveries:
            if not names or delivery.name in names:
                delivery.put(text)


class Delivery:
    """Queue and thread of one service.

    A notification that fails goes to the end of the queue, so that one which the service never takes delays no other.

    Args:
        service: receives the notifications.
    """

    def __init__(self, service: Receiver) -> None:
        self.name = service.name
        self._service = service
        self._waiting: deque[tuple[Text, float]] = deque()
        self._changed = threading.Condition()
        self._is_leaving = False
        self._log_throttle = LogThrottle()
        self._thread = SupervisedThread(f"service {service.name}", self._work)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def leave(self) -> None:
        """Begin the end of the thread: what waits is sent once."""
        with self._changed:
            self._is_leaving = True
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the thread, and log what was not sent. A service that hangs keeps its thread."""
        self._thread.stop(self.leave, seconds)
        if self._waiting:
            _LOGGER.warning("service %s: %d notifications were not sent", self.name, len(self._waiting))

    def put(self, text: Text) -> None:
        """Add a notification; never waits. Any thread may call it."""
        with self._changed:
            if len(self._waiting) == _MOST_WAITING:
                self._waiting.popleft()
                self._log_throttle.warning(
                    f"service {self.name}: more than {_MOST_WAITING} notifications wait, so the oldest is dropped"
                )
            self._waiting.append((text, time.monotonic()))
            self._changed.notify()

    def _work(self) -> None:
        """Send notifications until `leave`, and then what waits, until one fails."""
        pause = _FIRST_PAUSE_SECONDS
        while (entry := self._next()) is not None:
            text, created = entry
            if fault := self._service.send(text):
                self._log_throttle.warning(f"service {self.name} {fault}. Its notifications are sent again")
                self._keep(text, created)
                if self._is_leaving:
                    return
                self._rest(pause)
                pause = min(2 * pause, _LAST_PAUSE_SECONDS)
            else:
                if pause > _FIRST_PAUSE_SECONDS:
                    _LOGGER.info("service %s works again", self.name)
                pause = _FIRST_PAUSE_SECONDS
                self._log_throttle.reset()

    def _next(self) -> tuple[Text, float] | None:
        """Wait for a notification, and return it with the time of its creation; None when nothing waits at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_leaving)
            return self._waiting.popleft() if self._waiting else None

    def _keep(self, text: Text, created: float) -> None:
        """Put a notification that failed at the end of the queue, unless it is too old or newer ones fill it."""
        with self._changed:
            is_old = time.monotonic() - created >= _OLDEST_SECONDS
            if not is_old and len(self._waiting) < _MOST_WAITING:
                self._waiting.append((text, created))
            else:
                reason = "could not be sent for an hour" if is_old else "failed, and newer ones wait"
                _LOGGER.warning("service %s: a notification %s, and is dropped", self.name, reason)

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_leaving, seconds)
