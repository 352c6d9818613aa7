"""The outbox: what happened stays on disk until the broker has confirmed it, or in memory while there is no disk."""

import contextlib
import dataclasses
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from device.clock import Stamp
from device.complaints import Complaints
from device.config import OutboxConfig
from device.errors import UnavailableError
from device.outbox_file import Entry, OutboxFile
from device.sequence import SequenceFile

_LOGGER = logging.getLogger(__name__)

_MEGABYTE = 1024 * 1024
_IN_MEMORY = 10_000
"""Messages that may wait in memory while there is no disk."""
_FEW = 100
"""Messages that may wait on a disk that has no room to spare: what is under way must pass through."""
_SET_ASIDE = 2
"""Damaged files that are kept, the newest ones."""
_NOT_DAMAGED = {
    sqlite3.SQLITE_FULL: "Free some space",
    sqlite3.SQLITE_READONLY: "Make it writable",
    sqlite3.SQLITE_PERM: "Make it writable",
    sqlite3.SQLITE_CANTOPEN: "Make its folder writable, or set STATE_DIRECTORY",
    sqlite3.SQLITE_BUSY: "End the other process that uses it",
    sqlite3.SQLITE_IOERR: "Check the disk",
    sqlite3.SQLITE_NOMEM: "Free some memory",
}
"""SQLite's codes for a file that cannot be used now, with the cure. All others mean that it holds something else."""

_T = TypeVar("_T")


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
        self._disk: OutboxFile | None = None
        self._memory: OutboxFile | None = None
        self._confirmed: set[int] = set()
        self._last = 0
        self._depth_on_disk = 0
        self._facts = OutboxFacts(0, 0, "")
        self._complaints = Complaints()

    def __enter__(self) -> Self:
        """Open the queue, with what an earlier run left in it.

        Raises:
            UnavailableError: another process uses it.
        """
        with contextlib.suppress(OSError):  # the database cannot be opened then, and that is told
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._sequence = SequenceFile(self._path.with_name("sequence"))
        self._refuse_to_share()
        stored = self._on_disk(lambda disk: disk.totals().last, 0)
        self._last = max(stored, self._sequence.given) if stored else self._sequence.safe
        self.first_of_run = self._last + 1
        self._count()
        return self

    def __exit__(self, *_: object) -> None:
        self.recover()
        if self._memory is not None:
            lost = self._memory.totals().waiting
            if lost:
                _LOGGER.error("%d messages are lost: they waited in memory, and %s", lost, self._facts.trouble)
            self._memory.close()
        self._close_disk()

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
        if self._memory is not None or not self._store([entry], sequence):
            self._store_in_memory(entry)
        self._last = sequence
        self._sequence.note(sequence, exactly=self._memory is not None)
        self._count()
        return entry

    def after(self, sequence: int, limit: int) -> list[Entry]:
        """The oldest messages, at most `limit`, with a number above `sequence`."""
        wanted = limit + len(self._confirmed)
        nothing: list[Entry] = []
        entries = self._on_disk(lambda disk: disk.after(sequence, wanted), nothing)
        if self._memory is not None:
            entries += self._memory.after(sequence, limit)
        return [entry for entry in entries if entry.sequence not in self._confirmed][:limit]

    def delete(self, sequences: Iterable[int]) -> None:
        """Forget messages that the broker has confirmed."""
        self._confirmed.update(sequences)
        if not self._confirmed:
            return
        if self._memory is not None:
            self._memory.delete(self._confirmed)

        def forget(disk: OutboxFile) -> None:
            disk.delete(self._confirmed)
            self._confirmed.clear()

        self._on_disk(forget, None)
        self._count()

    def recover(self) -> bool:
        """Where messages wait in memory, try the disk again; gives whether they have just gone there."""
        if self._memory is None:
            return False
        self._close_disk()  # it may have been mounted anew
        waiting = self._memory.after(0, _IN_MEMORY)
        if not self._store(waiting, self._last):
            return False
        self._sequence.note(self._last, exactly=True)
        self._memory.close()
        self._memory = None
        self._facts = dataclasses.replace(self._facts, trouble="")
        _LOGGER.info("outbox %s: on disk again, with %d messages that waited in memory", self._path, len(waiting))
        self.delete([])  # what was confirmed meanwhile
        self._count()
        return True

    def _on_disk(self, act: Callable[[OutboxFile], _T], otherwise: _T) -> _T:
        """Act on the disk's file, on a new one if it is damaged; gives `otherwise` where there is no disk."""
        for _ in range(2):
            try:
                self._disk = self._disk or OutboxFile(self._path)
                return act(self._disk)
            except OSError as error:
                self._degrade(f"cannot be used ({error}). Check the disk")
                return otherwise
            except sqlite3.Error as error:
                code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_CORRUPT) & 0xFF
                if code in _NOT_DAMAGED:
                    self._degrade(f"cannot be used ({error}). {_NOT_DAMAGED[code]}")
                    return otherwise
                if not self._set_aside(error):
                    return otherwise
        return otherwise

    def _refuse_to_share(self) -> None:
        try:
            self._disk = OutboxFile(self._path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise UnavailableError(
                    f"outbox {self._path}: another process uses it. End that, or set STATE_DIRECTORY for one of them"
                ) from error

    def _close_disk(self) -> None:
        if self._disk is not None:
            self._disk.close()
            self._disk = None

    def _store(self, entries: list[Entry], last: int) -> bool:
        def store(disk: OutboxFile) -> bool:
            self._make_room(disk)
            disk.append(entries, last)
            return True

        return self._on_disk(store, False)

    def _store_in_memory(self, entry: Entry) -> None:
        if self._memory is None:
            self._memory = OutboxFile(None)
        if self._memory.totals().waiting >= _IN_MEMORY:
            self._drop(self._memory, 1, "there is no disk")
        self._memory.append([entry], entry.sequence)

    def _make_room(self, disk: OutboxFile) -> None:
        """Drop the oldest messages, so that one more keeps within the limits."""
        totals, limit = disk.totals(), self._config.messages
        why = f"outbox.messages is {limit}"
        if shutil.disk_usage(self._path.parent).free < self._config.free_megabytes * _MEGABYTE:
            limit = min(limit, max(_FEW, totals.waiting))
            why = f"less than outbox.free_megabytes, {self._config.free_megabytes:g}, are free on its disk"
        excess = totals.waiting + 1 - limit
        if totals.bytes > self._config.megabytes * _MEGABYTE:
            excess, why = max(excess, 1), f"outbox.megabytes is {self._config.megabytes:g}"
        if excess > 0:
            self._drop(disk, excess, why)

    def _drop(self, file: OutboxFile, count: int, why: str) -> None:
        file.delete_oldest(count)
        self._facts = dataclasses.replace(self._facts, dropped=self._facts.dropped + count)
        self._complaints.say(f"outbox {self._path}: full, the oldest messages are dropped: {why}")

    def _degrade(self, why: str) -> None:
        """Go on in memory."""
        self._facts = dataclasses.replace(self._facts, trouble=why)
        self._complaints.say(f"outbox {self._path}: {why}. Events wait in memory meanwhile")
        if self._memory is None:
            self._memory = OutboxFile(None)

    def _set_aside(self, error: sqlite3.Error) -> bool:
        """Put a damaged file out of the way; gives whether a new one can take its place."""
        self._close_disk()
        aside = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        try:
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            for old in sorted(self._path.parent.glob(f"{self._path.name}.damaged-*"))[:-_SET_ASIDE]:
                old.unlink()
        except OSError as problem:
            self._degrade(f"damaged ({error}) and cannot be put aside ({problem}). Delete it")
            return False
        self._sequence.note(self._last, exactly=True)
        lost = self._facts.depth
        self._facts = dataclasses.replace(self._facts, dropped=self._facts.dropped + lost)
        self._complaints.say(
            f"outbox {self._path}: damaged ({error}), with {lost or 'perhaps some'} messages in it. It is kept as "
            f"{aside.name}, and a new one begun. Check the disk"
        )
        return True

    def _count(self) -> None:
        self._depth_on_disk = self._on_disk(lambda disk: disk.totals().waiting, self._depth_on_disk)
        on_disk = max(self._depth_on_disk - len(self._confirmed), 0)
        in_memory = self._memory.totals().waiting if self._memory is not None else 0
        self._facts = dataclasses.replace(self._facts, depth=on_disk + in_memory)
