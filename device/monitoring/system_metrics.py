"""What the machine tells of itself: temperature, memory, versions."""

import contextlib
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

THERMAL = Path("/sys/class/thermal")
PLATFORM = Path("/sys/devices/platform")
STATM = Path("/proc/self/statm")
_CAUSES = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""Bit by bit, from the lowest; those since boot begin at bit 16."""


def temperature_celsius(thermal: Path = THERMAL) -> float | None:
    """The hottest of the kernel's thermal zones (a Pi has one, its CPU's); None where there is none to read."""
    found = []
    for zone in thermal.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a zone may be there and not be readable
            found.append(int(zone.read_text()) / 1000)
    return round(max(found), 1) if found else None


@dataclass(frozen=True)
class Throttling:
    """What slows a Raspberry Pi down: `under_voltage`, `frequency_capped`, `throttled`, `soft_temperature_limit`."""

    now: tuple[str, ...]
    seconds_since_boot: tuple[str, ...]


def throttling(platform: Path = PLATFORM) -> Throttling | None:
    """What a Pi's firmware tells (as `vcgencmd get_throttled` does, which needs more rights); None elsewhere."""
    for file in platform.glob("soc*/*firmware/get_throttled"):
        with contextlib.suppress(OSError, ValueError):
            bits = int(file.read_text(), 16)
            return Throttling(_causes(bits), _causes(bits >> 16))
    return None


def _causes(bits: int) -> tuple[str, ...]:
    return tuple(cause for number, cause in enumerate(_CAUSES) if bits >> number & 1)


def is_hot(celsius: float | None, slowed: Throttling | None, limit_celsius: float | None) -> bool:
    """Whether a machine is as hot as the limit or hotter, or slowed down by its firmware, for heat or a weak supply."""
    too_hot = celsius is not None and limit_celsius is not None and celsius >= limit_celsius
    return too_hot or (slowed is not None and bool(slowed.now))


def memory_mb(statm: Path = STATM) -> float | None:
    """Resident memory of this process, MB of 2**20 bytes; None where the system does not tell."""
    try:
        return round(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    except OSError:  # not Linux
        return None


def versions() -> dict[str, str]:
    """Of Earshot, Python, and the system."""
    return {"earshot": version("earshot"), "python": platform.python_version(), "system": platform.platform()}
