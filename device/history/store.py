"""History store: the table in a file of limited age and size. It forgets the oldest events first."""

import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device.config.models import HistoryConfig
from device.history.table import EndedEvent, HistoryTable
from device.util.clock import Clock, Stamp
from device.util.database_file import DatabaseFile, DatabaseUnavailableError
from device.util.disk_reserve import DiskReserve
from device.util.log_throttle import LogThrottle
from device.util.units import MEGABYTE

_LOGGER = logging.getLogger(__name__)

_MINIMUM_BYTES = 1_000_000
"""Size up to which the file grows on a disk with too little free space, bytes."""
_OTHER_BYTES = 1_000_000
"""Part of `history.megabytes` for the reserve and the write-ahead log, with its largest transaction, bytes."""
_AT_ONCE = 1000
"""Most events that one transaction deletes or corrects, so that the write-ahead log stays small."""
_RESERVE_BYTES = 500_000
"""Space that is kept for a full disk, bytes: the write-ahead log must be copied before old events can be replaced."""
_SHRINK_PAGES = 500
"""Free pages that are given back to the disk at once; fewer ones are kept for the next events."""
_KEPT_DAMAGED_FILES = 1
_DAY_SECONDS = 86400

CorrectTimes = Callable[[dict[str, Any], Stamp], dict[str, Any]]
"""Function from a message from before network time set the clock, and its stamp, to the message with right times."""


class HistoryStore:
    """Bounded file of ended events. Used from one thread, which opens it at the first use.

    Args:
        path: the database file.
        config: limits of age and size, and the free space to keep.
        clock: reports whether network time has set the system clock.
        correct_times: corrects the times of messages, once it has.
        log_throttle: logs faults of the file.

    Attributes:
        rows: number of events in the file.
        dropped: events that were forgotten before `history.days`, for lack of space or with a damaged file.
        trouble: lack of free space on the disk that makes the store forget events; empty without it.
    """

    def __init__(
        self, path: Path, config: HistoryConfig, clock: Clock, correct_times: CorrectTimes, log_throttle: LogThrottle
    ) -> None:
        self.rows = self.dropped = 0
        self.trouble = ""
        self._path = path
        self._config = config
        self._clock = clock
        self._correct_times = correct_times
        self._log_throttle = log_throttle
        self._is_at_limit = False
        self._reserve = DiskReserve(path.with_name(f"{path.name}-reserve"), _RESERVE_BYTES)
        self._file = DatabaseFile("history", path, self._open, _KEPT_DAMAGED_FILES, self._on_damage, log_throttle)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def store(self, events: list[EndedEvent]) -> None:
        """Store events. For lack of space, the oldest ones are deleted first.

        Raises:
            DatabaseUnavailableError: the file cannot be used now.
        """
        self._file.close_if_deleted()
        try:
            self._file.execute(lambda table: self._insert(table, events, self._limit_bytes(table)))
        except DatabaseUnavailableError as error:
            if not error.is_full:
                raise
            self._file.execute(lambda table: self._replace_oldest(table, events))

    def maintain(self) -> None:
        """Delete events older than `history.days`, correct times, and give free space back to the disk.

        Raises:
            DatabaseUnavailableError: the file cannot be used now.
        """
        if self.trouble and self._file.execute(lambda _: self._has_space()):
            self.trouble = ""
        # A wrong clock, for instance one of the next century, must not delete the history.
        if self._clock.synced():
            self._file.execute(self._correct)  # before an event with a wrong time counts as old
            self._file.execute(self._delete_old)
        self._file.execute(_shrink)
        self._reserve.acquire()

    def _open(self, path: Path) -> HistoryTable:
        table = HistoryTable(path)
        self.rows = table.count()
        return table

    def _has_space(self) -> bool:
        free_bytes = shutil.disk_usage(self._path.parent).free
        return free_bytes >= max(self._config.free_megabytes * MEGABYTE, _RESERVE_BYTES)

    def _limit_bytes(self, table: HistoryTable) -> float:
        """Return the size up to which the file may grow, bytes."""
        limit = self._config.megabytes * MEGABYTE - _OTHER_BYTES
        return limit if self._has_space() else min(limit, max(table.size().file_bytes, _MINIMUM_BYTES))

    def _insert(self, table: HistoryTable, events: list[EndedEvent], limit_bytes: float) -> None:
        """Delete the oldest events until the new ones fit into the limit, and store these."""
        forgotten = 0
        while (excess := self._excess_rows(table, len(events), limit_bytes)) > 0:
            deleted = table.delete_oldest(min(excess, _AT_ONCE))
            forgotten += deleted
            self.rows -= deleted
        self.rows += table.insert(events)
        self.dropped += forgotten
        if not forgotten:
            return
        if not self._has_space():
            self.trouble = (
                "its disk is full, or has less free space than history.free_megabytes, "
                f"{self._config.free_megabytes:g}. The oldest events are forgotten. Free some space"
            )
        elif not self._is_at_limit:
            self._is_at_limit = True
            _LOGGER.info(
                "history %s: history.megabytes is %g: from now on, the oldest events are forgotten before history.days",
                self._path,
                self._config.megabytes,
            )

    def _excess_rows(self, table: HistoryTable, new_rows: int, limit_bytes: float) -> int:
        """Return how many events must be deleted, so that the file with new ones is within the limit."""
        if self.rows == 0:
            return 0
        row_bytes = table.size().used_bytes / self.rows
        return min(math.ceil(self.rows + new_rows + 1 - limit_bytes / row_bytes), self.rows)

    def _replace_oldest(self, table: HistoryTable, events: list[EndedEvent]) -> None:
        """Store events on a disk without any space: in the pages of the oldest events."""
        self._reserve.release()
        table.restart_log()
        self._insert(table, events, table.size().file_bytes)

    def _delete_old(self, table: HistoryTable) -> None:
        now = self._clock.stamp()
        oldest = now.steady + now.offset - self._config.days * _DAY_SECONDS
        while deleted := table.delete_before(oldest, _AT_ONCE):
            self.rows -= deleted

    def _correct(self, table: HistoryTable) -> None:
        """Correct the times of events from before network time set the clock. Those of an earlier boot stay."""
        while events := table.uncorrected(_AT_ONCE):
            table.correct({number: self._correct_times(each.message, each.created) for number, each in events.items()})

    def _on_damage(self) -> None:
        self.dropped += self.rows
        self.rows = 0


def _shrink(table: HistoryTable) -> None:
    size = table.size()
    if size.file_bytes - size.used_bytes > size.file_bytes / 8:
        table.shrink(_SHRINK_PAGES)
