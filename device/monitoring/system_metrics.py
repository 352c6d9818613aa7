"""System metrics: model, temperature, throttling, memory and versions of the machine."""

import contextlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from device.util.units import MEGABYTE
from device.util.version import earshot_version

_THERMAL_FOLDER = Path("/sys/class/thermal")
_PLATFORM_FOLDER = Path("/sys/devices/platform")
_STATM_FILE = Path("/proc/self/statm")
_MODEL_FILE, _CPU_FILE = Path("/proc/device-tree/model"), Path("/proc/cpuinfo")
_CAUSES = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""Cause of each bit of `get_throttled`, from the lowest. The same causes since boot follow from bit 16 on."""
_SINCE_BOOT_SHIFT = 16


def machine_model(model_file: Path = _MODEL_FILE, cpu_file: Path = _CPU_FILE) -> str:
    """Return the model of a Pi, else of the processor."""
    if model_file.exists():
        return model_file.read_text(errors="replace").strip("\0 \n")
    lines = cpu_file.read_text(errors="replace").splitlines() if cpu_file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.machine())


def temperature_celsius(thermal_folder: Path = _THERMAL_FOLDER) -> float | None:
    """Return the highest temperature of the kernel's thermal zones, degrees Celsius; None without a readable zone.

    A Raspberry Pi has one zone, for its CPU.
    """
    temperatures = []
    for file in thermal_folder.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a zone may exist and be unreadable
            temperatures.append(int(file.read_text()) / 1000)
    return round(max(temperatures), 1) if temperatures else None


@dataclass(frozen=True)
class Throttling:
    """Causes that slow a Raspberry Pi down: `under_voltage`, `frequency_capped`, `throttled`, `soft_temperature_limit`.

    The names of the attributes are keys of the health message.

    Attributes:
        now: causes at this time.
        since_boot: causes at any time since boot.
    """

    now: tuple[str, ...]
    since_boot: tuple[str, ...]


def throttling(platform_folder: Path = _PLATFORM_FOLDER) -> Throttling | None:
    """Return the throttling that a Raspberry Pi's firmware reports; None on other machines.

    `vcgencmd get_throttled` returns the same bits, but requires more rights.
    """
    for file in platform_folder.glob("soc*/*firmware/get_throttled"):
        with contextlib.suppress(OSError, ValueError):
            bits = int(file.read_text(), 16)
            return Throttling(_causes(bits), _causes(bits >> _SINCE_BOOT_SHIFT))
    return None


def _causes(bits: int) -> tuple[str, ...]:
    return tuple(cause for number, cause in enumerate(_CAUSES) if bits >> number & 1)


def is_hot(celsius: float | None, throttled: Throttling | None, limit_celsius: float | None) -> bool:
    """Return whether the machine has reached the temperature limit, or its firmware slows it down now.

    Args:
        celsius: temperature; None without a sensor.
        throttled: the firmware slows a Pi down because of heat or a weak power supply; None on other machines.
        limit_celsius: temperature limit; None turns the limit off.
    """
    too_hot = celsius is not None and limit_celsius is not None and celsius >= limit_celsius
    return too_hot or (throttled is not None and bool(throttled.now))


def memory_mb(statm_file: Path = _STATM_FILE) -> float | None:
    """Return the resident memory of this process, MB of 10^6 bytes; None if the system is not Linux."""
    try:
        return round(int(statm_file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MEGABYTE, 1)
    except OSError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of Earshot, Python and the system."""
    return {"earshot": earshot_version(), "python": platform.python_version(), "system": platform.platform()}
