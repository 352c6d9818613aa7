"""Sequence file: the last sequence number in a file of its own, because an outbox file may be lost."""

import os
from pathlib import Path

_STEP = 1000
"""Largest difference between the recorded number and the last issued one; each record is a write to the SD card."""
_DIGITS = 20


class SequenceFile:
    """File with a sequence number that is at most 1000 below the last issued one, and never above it.

    Args:
        path: a file of one line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recorded = self._read()

    @property
    def lower_bound(self) -> int:
        """Lower bound on the sequence numbers issued so far; 0 without a record."""
        return self._recorded

    @property
    def upper_bound(self) -> int:
        """Upper bound on the sequence numbers issued so far; 0 without a record."""
        return self._recorded + _STEP if self._recorded else 0

    def record(self, sequence: int, *, exactly: bool = False) -> None:
        """Record an issued number.

        Args:
            sequence: the number.
            exactly: write every number, because no outbox file contains it; otherwise one in a thousand is written.
        """
        due = exactly or self._recorded == 0 or sequence >= self._recorded + _STEP
        if not due or sequence <= self._recorded:
            return
        try:
            # In place and always of the same length: this works on a full disk, too.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(descriptor, b"%0*d\n" % (_DIGITS, sequence), 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return  # the outbox reports the fault of the disk
        self._recorded = sequence

    def _read(self) -> int:
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return 0
