"""Time on a machine that boots in the past: one clock that only goes on, and what it is in UTC as far as is known."""

import ctypes
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN_ERROR_MICROSECONDS = 16_000_000
"""The kernel's estimated error from which systemd, too, takes the clock for not set."""


@dataclass(frozen=True)
class Stamp:
    """When something was made.

    Attributes:
        steady: seconds since boot.
        offset: what was added to them to make Unix seconds, s. It jumps when network time sets the clock.
    """

    steady: float
    offset: float


def seconds_since_boot() -> float:
    """Seconds since boot, sleep included; nobody can set them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def kernel_synced() -> bool:
    """Whether network time has set the clock since boot, by whatever program: the kernel knows (adjtimex(2))."""
    timex = (ctypes.c_long * 64)()  # struct timex; modes = 0 only reads
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
            return False
    except AttributeError:  # not Linux
        return False
    maximum_error = timex[3]  # modes, offset, freq, maxerror
    return maximum_error < _UNKNOWN_ERROR_MICROSECONDS


class Clock:
    """The time of one run.

    Args:
        steady: seconds that only go on, and restart at boot.
        wall: Unix seconds, which may be set.
        synced: whether network time has set `wall`.
    """

    def __init__(
        self,
        steady: Callable[[], float] = seconds_since_boot,
        wall: Callable[[], float] = time.time,
        synced: Callable[[], bool] = kernel_synced,
    ) -> None:
        self.steady = steady
        self.synced = synced
        self._wall = wall
        self._first_offset = self.offset()

    def offset(self) -> float:
        """Unix seconds less `steady`, as of now."""
        return self._wall() - self.steady()

    def stamp(self) -> Stamp:
        """Now."""
        return Stamp(self.steady(), self.offset())

    def now(self) -> float:
        """Unix seconds that never jump: as the clock was at the start of the run, and on from there."""
        return self.steady() + self._first_offset

    def utc(self, time_of_run: float) -> float:
        """A `now()` of the past in Unix seconds, by what the clock has been set to since."""
        return time_of_run + self.offset() - self._first_offset


@functools.cache
def boot_id() -> str:
    """The kernel's random id of this boot, so that a subscriber sees a restart of the machine."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return "unknown"


def rfc3339(unix_seconds: float) -> str:
    """Format a time as UTC with milliseconds, as in 2026-11-22T07:15:00.250Z (RFC 3339)."""
    return datetime.fromtimestamp(round(unix_seconds, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


CLOCK = Clock()
"""The machine's own."""
