"""Disk reserve: a file that occupies space, to be released when the disk is full."""

import contextlib
import os
import shutil
from pathlib import Path


class DiskReserve:
    """File without content that occupies space on a disk.

    A database must write before it can delete, so on a full disk it needs this space to replace its oldest rows.

    Args:
        path: the file.
        size: bytes that it occupies.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def acquire(self) -> None:
        """Occupy the space if it is not occupied and the disk has twice as much. A disk error is ignored."""
        with contextlib.suppress(OSError):
            if self._path.exists() or shutil.disk_usage(self._path.parent).free < 2 * self._size:
                return
            with self._path.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)

    def release(self) -> None:
        """Give the space back to the disk."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
