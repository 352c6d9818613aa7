"""Machine of a measurement: what its figures depend on. There is no name, address or serial number in it."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import checkout  # noqa: F401 - first: it puts this checkout's packages on the path
import numpy as np

from device.cli.bench import machine_model
from device.model.classifier import runtime_name


def processor() -> str:
    """Return the model of this machine and the vector instructions that matter to the networks."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    found = [name for name in ("avx2", "avx512f", "avx512_vnni", "asimddp") if name in flags]
    return ", ".join([machine_model(), f"{os.cpu_count()} cores", *found])


def versions() -> dict[str, str]:
    """Return what a count of instructions depends on: processor, Python, the networks' runtime, and numpy."""
    return {
        "processor": processor(),
        "python": platform.python_version(),
        "runtime": runtime_name(),
        "numpy": np.__version__,
    }


def today() -> str:
    """Return the date, as 2026-01-31."""
    return datetime.now(UTC).date().isoformat()


def load() -> float:
    """Return the number of programs that ran or waited for a core, mean of a minute."""
    return os.getloadavg()[0]
