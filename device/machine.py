"""What the machine tells of itself: temperature, memory, versions."""

import contextlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

THERMAL = Path("/sys/class/thermal")
STATM = Path("/proc/self/statm")


def temperature_celsius(thermal: Path = THERMAL) -> float | None:
    """The hottest of the kernel's thermal zones (a Pi has one, its CPU's); None where there is none to read."""
    found = []
    for zone in thermal.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a zone may be there and not be readable
            found.append(int(zone.read_text()) / 1000)
    return round(max(found), 1) if found else None


def memory_mb(statm: Path = STATM) -> float | None:
    """Resident memory of this process, MB of 2**20 bytes; None where the system does not tell."""
    try:
        return round(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    except OSError:  # not Linux
        return None


def versions() -> dict[str, str]:
    """Of Earshot, Python, and the system."""
    return {"earshot": version("earshot"), "python": platform.python_version(), "system": platform.platform()}
