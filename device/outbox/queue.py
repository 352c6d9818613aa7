"""The outbox: what happened stays on disk until the broker has confirmed it, or in memory while there is no disk."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from device.config.models import OutboxConfig
from device.outbox.disk_store import DiskStore, DiskUnavailableError
from device.outbox.sequence_file import SequenceFile
from device.outbox.sqlite_table import Entry, SqliteTable
from device.util.clock import Stamp
from device.util.log_throttle import LogThrottle

_LOGGER = logging.getLogger(__name__)

_IN_MEMORY = 10_000
"""Messages that may wait in memory while there is no disk."""


@dataclass(frozen=True)
class OutboxFacts:
    """How the outbox does, for `health`.

    Attributes:
        depth: messages that wait.
        dropped: messages that were dropped since the start, as there was no room, or were in a damaged file.
        trouble: why messages wait in memory and not on disk; empty where all is well.
    """

    depth: int
    dropped: int
    trouble: str


class Outbox:
    """A queue that survives a power cut, a full disk and a damaged file. Used from one thread; a context manager.

    Where it may hold no more, the oldest message goes: what happens now matters most, and a subscriber sees the
    gap in the sequence numbers. While the disk cannot be written, messages wait in memory; `recover` moves them to
    the disk when it is back. Numbers go on through all of it.

    Args:
        path: the database file; its folder is made where it is missing.
        config: how much may wait.
    """

    def __init__(self, path: Path, config: OutboxConfig = OutboxConfig()) -> None:  # noqa: B008 - it is frozen
        self._path = path
        self._config = config
        self._memory: SqliteTable | None = None
        self._confirmed: set[int] = set()
        self._last = 0
        self._on_disk = 0
        self._dropped_in_memory = 0
        self._facts = OutboxFacts(0, 0, "")
        self._log_throttle = LogThrottle()

    def __enter__(self) -> Self:
        """Open the queue, with what an earlier run left in it.

        Raises:
            UnavailableError: another process uses it.
        """
        with contextlib.suppress(OSError):  # the first use of the file tells
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._disk = DiskStore(self._path, self._config, self._log_throttle)
        self._sequence = SequenceFile(self._path.with_name("sequence"))
        stored = 0
        try:
            stored = self._disk.totals().last
        except DiskUnavailableError as error:
            self._degrade(error)
        self._last = max(stored, self._sequence.given) if stored else self._sequence.safe
        self.first_of_run = self._first_in_memory = self._last + 1
        self.count()
        return self

    def __exit__(self, *_: object) -> None:
        self.recover()
        if self._memory is not None:
            lost = self._memory.totals().waiting
            if lost:
                _LOGGER.error("%d messages are lost: they waited in memory, and %s", lost, self._facts.trouble)
            self._memory.close()
        self._disk.close()

    def __len__(self) -> int:
        """Messages that wait."""
        return self._facts.depth

    def facts(self) -> OutboxFacts:
        """How it does; any thread."""
        return self._facts

    def append(self, message: dict[str, Any], made: Stamp) -> Entry:
        """Number a message and store it; once this returns, it is on disk if there is one."""
        sequence = self._last + 1
        entry = Entry(sequence, message | {"sequence": sequence}, made)
        if self._memory is None:
            try:
                self._disk.append([entry], sequence)
            except DiskUnavailableError as error:
                self._degrade(error)
        if self._memory is not None:
            self._store_in(self._memory, entry)
        self._last = sequence
        self._sequence.note(sequence, exactly=self._memory is not None)
        self.count()
        return entry

    def after(self, sequence: int, limit: int) -> list[Entry]:
        """The oldest messages, at most `limit`, with a number above `sequence`."""
        entries: list[Entry] = []
        try:
            entries = self._disk.after(sequence, limit + len(self._confirmed))
        except DiskUnavailableError as error:
            self._degrade(error)
        entries = [entry for entry in entries if entry.sequence not in self._confirmed]
        if self._memory is not None:
            entries += self._memory.after(sequence, limit)
        return entries[:limit]

    def delete(self, sequences: Iterable[int]) -> None:
        """Forget messages that the broker has confirmed."""
        self._confirmed.update(sequences)
        if not self._confirmed:
            return
        if self._memory is not None:
            self._memory.delete(self._confirmed)
            self._confirmed = {each for each in self._confirmed if each < self._first_in_memory}
        try:
            self._disk.delete(self._confirmed)
            self._confirmed.clear()
        except DiskUnavailableError as error:
            self._degrade(error)
        self.count()

    def recover(self) -> bool:
        """Where messages wait in memory, try the disk again; gives whether they have just gone there."""
        if self._memory is None:
            return False
        self._disk.close()  # it may have been mounted anew
        waiting = self._memory.after(0, _IN_MEMORY)
        try:
            self._disk.append(waiting, self._last)
        except DiskUnavailableError as error:
            self._degrade(error)
            return False
        self._memory.close()
        self._memory = None
        self._sequence.note(self._last, exactly=True)
        self._facts = dataclasses.replace(self._facts, trouble="")
        _LOGGER.info("outbox %s: on disk again, with %d messages that waited in memory", self._path, len(waiting))
        self.delete([])  # what was confirmed meanwhile
        self.count()
        return True

    def count(self) -> None:
        """Look what waits, for `facts`."""
        with contextlib.suppress(DiskUnavailableError):  # then as many as there were
            self._on_disk = self._disk.totals().waiting
        self._facts = dataclasses.replace(
            self._facts,
            depth=max(self._on_disk - len(self._confirmed), 0)
            + (self._memory.totals().waiting if self._memory is not None else 0),
            dropped=self._disk.dropped + self._dropped_in_memory,
        )

    def _degrade(self, error: DiskUnavailableError) -> None:
        """Go on in memory."""
        self._facts = dataclasses.replace(self._facts, trouble=str(error))
        self._log_throttle.warning(f"outbox {self._path}: {error}. Events wait in memory meanwhile")
        if self._memory is None:
            self._memory = SqliteTable(None)
            self._first_in_memory = self._last + 1

    def _store_in(self, memory: SqliteTable, entry: Entry) -> None:
        if memory.totals().waiting >= _IN_MEMORY:
            memory.delete_oldest(1)
            self._dropped_in_memory += 1
            self._log_throttle.warning(
                f"outbox {self._path}: more than {_IN_MEMORY} messages in memory, the oldest are dropped"
            )
        memory.append([entry], entry.sequence)
