"""Delivery of notifications to one service, on a thread of its own: a bounded queue, and retries with pauses."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
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


class Delivery:
    """Queue and thread of one service; a context manager.

    A notification that fails goes to the end of the queue, so that one which the service never takes delays no other.

    Args:
        service: receives the notifications.
        clock: monotonic seconds.
    """

    def __init__(self, service: Receiver, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = service.name
        self._service = service
        self._clock = clock
        self._waiting: deque[tuple[Text, float]] = deque()
        self._changed = threading.Condition()
        self._is_leaving = False
        self._log_throttle = LogThrottle(clock)
        self._thread = SupervisedThread(f"service {service.name}", self._work)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send what waits, for 3 s at most, and end the thread."""
        self._thread.stop(self._leave, _LEAVE_SECONDS)
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
            self._waiting.append((text, self._clock()))
            self._changed.notify()

    def _leave(self) -> None:
        with self._changed:
            self._is_leaving = True
            self._changed.notify()

    def _work(self) -> None:
        """Send notifications until `_leave`, and then once what waits."""
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
            if self._clock() - created < _OLDEST_SECONDS and len(self._waiting) < _MOST_WAITING:
                self._waiting.append((text, created))
            else:
                _LOGGER.warning("service %s: a notification could not be sent for an hour, and is dropped", self.name)

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_leaving, seconds)
