"""History writer: the thread that stores ended events, so that a slow disk never delays detection."""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from device.config.models import HistoryConfig
from device.history.store import CorrectTimes, HistoryStore
from device.history.table import EndedEvent
from device.util.clock import CLOCK, Clock, Stamp
from device.util.database_file import DatabaseUnavailableError
from device.util.log_throttle import LogThrottle
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_QUEUED_EVENTS = 1000
"""Events that wait for the disk in memory, at most. Beyond it, the oldest is dropped."""
_BATCH_EVENTS = 100
"""Events of one transaction, at most."""
_RETRY_SECONDS = 5.0
"""Pause after a fault of the disk, s."""
_MAINTENANCE_SECONDS = 60.0
"""Longest pause between two searches for events that are too old, s."""
_GOODBYE_SECONDS = 5.0
"""Time for the last events at the end, s. A disk that hangs must not delay the end of the daemon for longer."""


@dataclass(frozen=True)
class HistoryStatus:
    """State of the history, for `health`.

    Attributes:
        rows: events in the file.
        dropped: events since the start that were forgotten before `history.days`: for lack of space, with a damaged
            file, or while the disk could not be written.
        trouble: fault of the disk with its cure; empty while the disk works.
    """

    rows: int
    dropped: int
    trouble: str


class HistoryWriter:
    """Background writer of ended events; a context manager.

    Events wait in a queue in memory. Its thread is the only one that uses the file, and opens it.

    Args:
        path: the database file; its folder is created if missing.
        config: limits of age and size.
        correct_times: see `CorrectTimes`.
        clock: reports whether network time has set the system clock.
    """

    def __init__(self, path: Path, config: HistoryConfig, correct_times: CorrectTimes, clock: Clock = CLOCK) -> None:
        self._path = path
        self._log_throttle = LogThrottle()
        self._store = HistoryStore(path, config, clock, correct_times, self._log_throttle)
        self._queue: deque[EndedEvent] = deque()
        self._changed = threading.Condition()
        self._dropped_in_memory = 0
        self._trouble = ""
        self._stopping = False
        self._closed = False
        self._thread = SupervisedThread("history", self._work)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Store the remaining events, and close the file."""
        self._thread.stop(self._stop, _GOODBYE_SECONDS)
        if self._queue or not self._closed:
            _LOGGER.error(
                "history %s: %s. The last events are missing in it",
                self._path,
                self._trouble or "its disk does not answer. Check the disk",
            )

    def add(self, message: dict[str, Any], created: Stamp) -> None:
        """Queue the `end` message of an event; ignore other messages. Any thread; returns at once.

        Args:
            message: event message.
            created: time of its creation.
        """
        if message["type"] != "end":
            return
        with self._changed:
            self._queue.append(EndedEvent(message, created))
            self._drop_excess()
            self._changed.notify()

    def status(self) -> HistoryStatus:
        """Return the state of the history; any thread."""
        store = self._store
        return HistoryStatus(store.rows, store.dropped + self._dropped_in_memory, self._trouble)

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _drop_excess(self) -> None:
        while len(self._queue) > _QUEUED_EVENTS:
            self._queue.popleft()
            self._dropped_in_memory += 1

    # The methods below run on the thread of the history.

    def _work(self) -> None:
        """Store events as they come, and maintain the file, until the end."""
        works = self._update()
        while self._wait(works):
            works = self._update()
        self._update()
        self._store.close()
        self._closed = True

    def _wait(self, works: bool) -> bool:
        """Wait for an event or for maintenance, after a fault of the disk for the next try; return False at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or (works and self._queue), _MAINTENANCE_SECONDS if works else _RETRY_SECONDS
            )
            return not self._stopping

    def _update(self) -> bool:
        """Store the queued events, and maintain the file. Return False if the disk does not work."""
        batch: list[EndedEvent] = []
        try:
            while batch := self._take():
                self._store.store(batch)
            self._store.maintain()
        except DatabaseUnavailableError as error:
            self._return(batch)
            self._trouble = str(error)
            self._log_throttle.warning(f"history {self._path}: {error}. Meanwhile, the last events are kept in memory")
            return False
        if self._store.trouble:
            self._log_throttle.warning(f"history {self._path}: {self._store.trouble}")
        elif self._trouble:
            _LOGGER.info("history %s: on disk again", self._path)
        self._trouble = self._store.trouble
        return True

    def _take(self) -> list[EndedEvent]:
        with self._changed:
            return [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH_EVENTS))]

    def _return(self, batch: list[EndedEvent]) -> None:
        """Put events that could not be stored back to the front of the queue."""
        with self._changed:
            self._queue.extendleft(reversed(batch))
            self._drop_excess()
