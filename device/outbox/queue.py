"""Outbox: durable queue of event messages, on disk until the broker acknowledges them, or in memory without a disk."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from device.config.models import OutboxConfig
from device.outbox.disk_store import DiskStore
from device.outbox.entry import Entry
from device.outbox.sequence_file import SequenceFile
from device.outbox.sqlite_table import SqliteTable
from device.util.clock import Stamp
from device.util.database_file import DatabaseUnavailableError
from device.util.log_throttle import LogThrottle

_LOGGER = logging.getLogger(__name__)

_IN_MEMORY = 10_000
"""Limit of messages in memory while the disk is unavailable."""


@dataclass(frozen=True)
class OutboxStatus:
    """State of the outbox, for `health`.

    Attributes:
        depth: messages in the outbox.
        dropped: messages since the start that were dropped for lack of space or were in a damaged file.
        trouble: why messages are kept in memory and not on disk; empty while the disk works.
    """

    depth: int
    dropped: int
    trouble: str


class Outbox:
    """Queue that survives a power cut, a full disk and a damaged file. Used from one thread; a context manager.

    Events are numbered, so a loss shows as a gap. When a limit is exceeded, the oldest message is dropped, because
    current events matter most. While the disk cannot be written, messages are kept in memory; `retry_disk` moves them
    to the disk later. Sequence numbers continue through all of this.

    Args:
        path: the database file; its folder is created if missing.
        config: limits of messages and bytes, and the free space to keep.
        on_append: called with each stored message, on the outbox's thread. It must return at once.

    Attributes:
        first_of_run: first sequence number that this run issues.
    """

    def __init__(
        self,
        path: Path,
        config: OutboxConfig = OutboxConfig(),  # noqa: B008 - it is frozen
        on_append: Callable[[Entry], object] = lambda _: None,
    ) -> None:
        self._path = path
        self._config = config
        self._on_append = on_append
        self._memory: SqliteTable | None = None
        self._acknowledged: set[int] = set()
        self._last_sequence = 0
        self._on_disk = 0
        self._dropped_in_memory = 0
        self._status = OutboxStatus(0, 0, "")
        self._log_throttle = LogThrottle()

    def __enter__(self) -> Self:
        """Open the queue, including the messages of earlier runs.

        Raises:
            UnavailableError: another process uses it.
        """
        with contextlib.suppress(OSError):  # the first use of the file reports the error
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._disk = DiskStore(self._path, self._config, self._log_throttle)
        self._sequence_file = SequenceFile(self._path.with_name("sequence"))
        stored = 0
        try:
            stored = self._disk.totals().last_sequence
        except DatabaseUnavailableError as error:
            self._switch_to_memory(error)
        self._last_sequence = self._last_attempted = self._sequence_file.last_issued(stored)
        self.first_of_run = self._first_in_memory = self._last_sequence + 1
        self.refresh_status()
        return self

    def __exit__(self, *_: object) -> None:
        self.retry_disk()
        if self._memory is not None:
            lost = self._memory.totals().waiting
            if lost:
                _LOGGER.error(
                    "outbox %s: %s. %d messages are lost, because they were only in memory",
                    self._path,
                    self._status.trouble,
                    lost,
                )
            self._memory.close()
        self._disk.close()

    def __len__(self) -> int:
        """Return the number of messages in the outbox."""
        return self._status.depth

    def status(self) -> OutboxStatus:
        """Return the state of the outbox; any thread."""
        return self._status

    def append(self, message: dict[str, Any], created: Stamp) -> Entry:
        """Store a message under the next number. Once this returns, the message is on disk, if a disk is available.

        Args:
            message: event message without `sequence`.
            created: time of its creation.
        """
        sequence = self._last_sequence + 1
        entry = Entry(sequence, message | {"sequence": sequence}, created)
        if self._memory is None:
            self._last_attempted = sequence
            try:
                self._disk.append([entry], sequence)
            except DatabaseUnavailableError as error:
                self._switch_to_memory(error)
        if self._memory is not None:
            self._append_in_memory(self._memory, entry)
        self._last_sequence = sequence
        self._sequence_file.record(sequence, synced=self._memory is not None)
        self.refresh_status()
        self._on_append(entry)
        return entry

    def entries_after(self, sequence: int, limit: int) -> list[Entry]:
        """Return the oldest entries with a number above `sequence`, at most `limit`."""
        entries: list[Entry] = []
        try:
            entries = self._disk.entries_after(sequence, limit + len(self._acknowledged))
        except DatabaseUnavailableError as error:
            self._switch_to_memory(error)
        entries = [entry for entry in entries if entry.sequence not in self._acknowledged]
        if self._memory is not None:
            entries = [entry for entry in entries if entry.sequence < self._first_in_memory]
            entries += self._memory.entries_after(sequence, limit)
        return entries[:limit]

    def delete(self, sequences: Iterable[int]) -> None:
        """Delete messages that the broker has acknowledged."""
        self._acknowledged.update(sequences)
        if not self._acknowledged:
            return
        if self._memory is not None:
            self._memory.delete(self._acknowledged)
            self._acknowledged = {each for each in self._acknowledged if each < self._first_in_memory}
        try:
            self._disk.delete(self._acknowledged)
            self._acknowledged.clear()
        except DatabaseUnavailableError as error:
            self._switch_to_memory(error)
        self.refresh_status()

    def retry_disk(self) -> bool:
        """Move messages from memory to the disk, if it is available again.

        Returns:
            True if they were moved or have new numbers: then all messages must be read anew.
        """
        if self._memory is None:
            return False
        self._disk.close()  # it may have been mounted again
        renumbered = False
        try:
            renumbered = self._renumber(self._memory, self._disk.totals().last_sequence)
            self._last_attempted = self._last_sequence
            entries = self._memory.entries_after(0, _IN_MEMORY)
            # The commit that failed last may have reached the disk, and its messages may be acknowledged by now.
            self._disk.append(entries, self._last_sequence, instead_of=self._first_in_memory)
        except DatabaseUnavailableError as error:
            self._switch_to_memory(error)
            return renumbered
        self._memory.close()
        self._memory = None
        self._sequence_file.record(self._last_sequence, synced=True)
        self._status = dataclasses.replace(self._status, trouble="")
        _LOGGER.info("outbox %s: on disk again, with %d messages from memory", self._path, len(entries))
        self.delete([])  # messages on disk that were acknowledged meanwhile
        self.refresh_status()
        return True

    def refresh_status(self) -> None:
        """Count the messages again, for `status`."""
        with contextlib.suppress(DatabaseUnavailableError):  # then the last count remains
            in_both = 0 if self._memory is None else self._disk.count_from(self._first_in_memory)
            self._on_disk = self._disk.totals().waiting - in_both
        self._status = dataclasses.replace(
            self._status,
            depth=max(self._on_disk - len(self._acknowledged), 0)
            + (self._memory.totals().waiting if self._memory is not None else 0),
            dropped=self._disk.dropped + self._dropped_in_memory,
        )

    def _switch_to_memory(self, error: DatabaseUnavailableError) -> None:
        """Keep new messages in memory, and log the reason."""
        self._status = dataclasses.replace(self._status, trouble=str(error))
        self._log_throttle.warning(f"outbox {self._path}: {error}. Meanwhile, events are kept in memory")
        if self._memory is None:
            self._memory = SqliteTable(None)
            self._first_in_memory = self._last_sequence + 1

    def _renumber(self, memory: SqliteTable, stored: int) -> bool:
        """Give the messages in memory new numbers if the disk contains numbers that this run did not issue.

        Neither outbox nor sequence file could be read at the start then, so the numbers began anew.
        """
        issued = max(stored, self._sequence_file.read())
        if stored <= self._last_attempted and issued <= self._last_sequence:
            return False
        first = max(issued, self._last_sequence) + 1
        entries = memory.entries_after(0, _IN_MEMORY)
        renumbered = [
            Entry(number, entry.message | {"sequence": number}, entry.created)
            for number, entry in enumerate(entries, first)
        ]
        self._last_sequence = first + len(renumbered) - 1
        memory.append(renumbered, self._last_sequence)
        memory.delete(entry.sequence for entry in entries)
        self.first_of_run = self._first_in_memory = first
        self._sequence_file.record(self._last_sequence, synced=True)
        return True

    def _append_in_memory(self, memory: SqliteTable, entry: Entry) -> None:
        if memory.totals().waiting >= _IN_MEMORY:
            memory.delete_oldest(1)
            self._dropped_in_memory += 1
            self._log_throttle.warning(
                f"outbox {self._path}: more than {_IN_MEMORY} messages in memory, the oldest are dropped"
            )
        memory.append([entry], entry.sequence)
