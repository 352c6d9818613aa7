"""The last sequence number, kept apart from the outbox: it outlives an outbox file that is lost."""

import os
from pathlib import Path

_STEP = 1000
_DIGITS = 20


class SequenceFile:
    """A number on disk that is never above the last sequence number given, and at most 1000 below it.

    Args:
        path: a file of one line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = self._read()

    @property
    def given(self) -> int:
        """A number that was given: the outbox may know of later ones."""
        return self._noted

    @property
    def safe(self) -> int:
        """A number that no later one was given than, where nothing else is known."""
        return self._noted + _STEP if self._noted else 0

    def note(self, sequence: int, *, exactly: bool = False) -> None:
        """Note a number that is given.

        Args:
            sequence: the number.
            exactly: note each, as nothing else keeps it; else one in a thousand is enough.
        """
        due = exactly or self._noted == 0 or sequence >= self._noted + _STEP
        if not due or sequence <= self._noted:
            return
        try:
            # In place and always of the same length: that works on a full disk, too.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(descriptor, b"%0*d\n" % (_DIGITS, sequence), 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return  # the outbox tells of the disk
        self._noted = sequence

    def _read(self) -> int:
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return 0
