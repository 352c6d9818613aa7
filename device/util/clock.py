"""Monotonic clock mapped to UTC, for machines without a battery clock."""

import ctypes
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNSYNCED_ERROR_MICROSECONDS = 16_000_000
"""Error estimated by the kernel from which the clock counts as not set. systemd uses the same bound."""


@dataclass(frozen=True)
class Stamp:
    """Point in time on the monotonic clock, with its offset to Unix time.

    Attributes:
        steady: monotonic seconds since boot.
        offset: Unix seconds minus `steady` at that time, s. It jumps when network time sets the clock.
    """

    steady: float
    offset: float


def seconds_since_boot() -> float:
    """Return the seconds since boot, including sleep. This clock cannot be set."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def kernel_synced() -> bool:
    """Return whether any program has set the clock from network time since boot, by adjtimex(2)."""
    timex = (ctypes.c_long * 64)()  # struct timex; modes = 0 only reads
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
            return False
    except AttributeError:  # not Linux
        return False
    maximum_error = timex[3]  # modes, offset, freq, maxerror
    return maximum_error < _UNSYNCED_ERROR_MICROSECONDS


class Clock:
    """Clock of one run: Unix time that never jumps, and its conversion to UTC.

    Args:
        steady: monotonic seconds since boot.
        wall: Unix seconds of the system clock, which may be set at any time.
        synced: returns whether network time has set `wall`.
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
        """Return Unix seconds minus `steady`, s, as of now."""
        return self._wall() - self.steady()

    def stamp(self) -> Stamp:
        """Return the current time on both clocks."""
        return Stamp(self.steady(), self.offset())

    def now(self) -> float:
        """Return Unix seconds that never jump: the system clock at the start of the run, continued monotonically."""
        return self.steady() + self._first_offset

    def utc(self, run_time: float) -> float:
        """Convert an earlier `now()` to Unix seconds of the system clock, as it is set at present."""
        return run_time + self.offset() - self._first_offset


@functools.cache
def boot_id() -> str:
    """Return the kernel's random id of this boot. It changes when the machine restarts."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux
        return "unknown"


def rfc3339(unix_seconds: float) -> str:
    """Format a time as UTC with milliseconds, as in 2026-11-22T07:15:00.250Z (RFC 3339)."""
    return datetime.fromtimestamp(round(unix_seconds, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


CLOCK = Clock()
"""Clock of this process."""
