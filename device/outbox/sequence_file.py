"""Sequence file: the last sequence number in a file of its own, because an outbox file may be lost."""

import os
import re
import time
import zlib
from pathlib import Path

from device.outbox.entry import LARGEST_SEQUENCE
from device.util.damaged_file import rename_damaged

_DIGITS = 20
_LINE = re.compile(rb"(\d{%d}) ([0-9a-f]{8})\n" % _DIGITS)
_LINE_LENGTH = _DIGITS + 10
_LINE_OF_0_1 = re.compile(rb"(\d{%d})\n" % _DIGITS)
"""Content in version 0.1.0, without checksum."""
_STEP = 1000
"""Largest difference between the number on the disk and the last issued one; each sync is a write to the SD card."""
_SKIPPED = 1_000_000
"""Numbers that are skipped after a damaged file: more than are issued while no outbox file can be written."""


class SequenceFile:
    """File with the last issued sequence number, twice and with checksums, so that a changed byte is no loss.

    A file in which neither line is intact is renamed to `.damaged`, with a warning.

    Args:
        path: the file. The first record creates it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_damaged = False
        self._synced = 0
        self._recorded = self.read()

    def last_issued(self, stored: int) -> int:
        """Return a number that is not below any issued one.

        After a damaged file, that is a number far above `stored`: the Unix time, because a node publishes less than one
        event message a second in the long run.

        Args:
            stored: last number in the outbox; 0 without one.
        """
        if self._is_damaged:
            return max(int(time.time()), stored + _SKIPPED)
        if stored or not self._recorded:
            return max(stored, self._recorded)
        return self._recorded + _STEP  # a power cut may have undone the last records

    def record(self, sequence: int, *, synced: bool = False) -> None:
        """Record an issued number.

        Args:
            sequence: the number.
            synced: write it to the disk at once, because no outbox file contains it; otherwise one in a thousand is
                written at once, and the others when the kernel does.
        """
        synced = synced or self._synced == 0 or sequence >= self._synced + _STEP
        line = b"%0*d" % (_DIGITS, sequence)
        line += b" %08x\n" % zlib.crc32(line)
        try:
            # In place and always of the same length: this works on a full disk, too.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(descriptor, line + line, 0)
                if synced:
                    os.fdatasync(descriptor)
                    self._synced = sequence
            finally:
                os.close(descriptor)
        except OSError:
            return  # the outbox reports the fault of the disk
        self._recorded, self._is_damaged = sequence, False

    def read(self) -> int:
        """Return the number in the file; 0 without a file, or if it is damaged or cannot be read."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return 0
        if match := _LINE_OF_0_1.fullmatch(content):
            return int(match[1])
        lines = (_LINE.fullmatch(content[start : start + _LINE_LENGTH]) for start in (0, _LINE_LENGTH))
        numbers = [int(match[1]) for match in lines if match and zlib.crc32(match[1]) == int(match[2], 16)]
        if not numbers or max(numbers) > LARGEST_SEQUENCE:
            self._is_damaged = True
            rename_damaged(self._path, ", and sequence numbers are skipped. Check the disk")
            return 0
        return max(numbers)
