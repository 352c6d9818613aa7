"""Mapped files: release of the memory in which the system keeps their pages for this process."""

import ctypes
import mmap
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def release_pages(path: Path, maps: Path = _MAPS) -> None:
    """Release the pages of a file that this process has mapped for reading; a page that is used again is read again.

    Args:
        path: the mapped file.
        maps: list of the mappings of this process, see proc_pid_maps(5). Without it, as on macOS, nothing happens.
    """
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for line in lines:
        addresses, access, *_, name = line.split(maxsplit=5)
        if name == str(path.resolve()) and access.startswith("r--"):  # a page that was written to would be lost
            start, end = (int(address, 16) for address in addresses.split("-"))
            madvise(start, end - start, mmap.MADV_DONTNEED)
