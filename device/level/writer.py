"""Level writer: the thread that stores minute levels, so that a slow disk never delays detection."""

import logging
import shutil
import threading
from collections import deque
from pathlib import Path
from typing import Self

from device.level.minutes import MinuteLevel
from device.level.table import LevelTable
from device.util.database_file import DatabaseFile, DatabaseUnavailableError
from device.util.log_throttle import LogThrottle
from device.util.supervised_thread import SupervisedThread
from device.util.units import MEGABYTE

_LOGGER = logging.getLogger(__name__)

_QUEUED_MINUTES = 1440
"""Minutes that wait for the disk in memory, at most. Beyond it, the oldest is dropped."""
_GOODBYE_SECONDS = 5.0
_DAY_MINUTES = 1440


class LevelWriter:
    """Background writer of minute levels; a context manager. Minutes wait in memory while the disk does not work.

    Args:
        path: the database file; its folder is created if missing.
        days: age from which a minute is deleted, days.
        free_megabytes: free space on the disk below which new minutes replace the oldest ones, MB.
    """

    def __init__(self, path: Path, days: float, free_megabytes: float) -> None:
        self._path = path
        self._days = days
        self._free_bytes = free_megabytes * MEGABYTE
        self._log_throttle = LogThrottle()
        self._file = DatabaseFile("levels", path, LevelTable, 1, lambda: None, self._log_throttle)
        self._queue: deque[MinuteLevel] = deque(maxlen=_QUEUED_MINUTES)
        self._changed = threading.Condition()
        self._stopping = self._has_new = False
        self._thread = SupervisedThread("levels", self._work)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Store the remaining minutes, and close the file."""
        self._thread.stop(self._stop, _GOODBYE_SECONDS)
        if self._queue:
            _LOGGER.error("levels %s: the last minutes are missing in it. Check the disk", self._path)

    def add(self, level: MinuteLevel) -> None:
        """Queue a minute; any thread; returns at once."""
        with self._changed:
            self._queue.append(level)
            self._has_new = True
            self._changed.notify()

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    # The methods below run on the thread of the levels.

    def _work(self) -> None:
        """Store minutes as they come, until the end. After a fault, the next minute is the next try."""
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._has_new)
                is_last, self._has_new = self._stopping, False
            self._update()
        self._file.close()

    def _update(self) -> None:
        batch = list(self._queue)
        if not batch:
            return
        self._file.close_if_deleted()
        try:
            self._file.execute(lambda table: self._store(table, batch))
        except DatabaseUnavailableError as error:
            self._log_throttle.warning(f"levels {self._path}: {error}. Meanwhile, the last minutes are kept in memory")
            return
        with self._changed:
            while batch and self._queue and self._queue[0] is batch[0]:
                self._queue.popleft()
                batch.pop(0)

    def _store(self, table: LevelTable, batch: list[MinuteLevel]) -> None:
        has_space = shutil.disk_usage(self._path.parent).free >= self._free_bytes
        newest = batch[-1]
        # A wrong clock must not delete the levels.
        oldest = newest.minute - round(self._days * _DAY_MINUTES) if newest.clock_synced else None
        table.store(batch, replace_oldest=not has_space, oldest=oldest)
