"""Processes of a benchmark: CPU time, wakes and memory, as the kernel counts them, and the start of the daemon."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT

from device.util.units import MEGABYTE

START_SECONDS = 120
"""Longest start of a daemon, s, on a machine with much other work."""


def cpu_seconds(process: int) -> float:
    """Return the CPU time of all threads of a process, also of those that have ended, s, with a resolution of 1 ns."""
    return time.clock_gettime((~process << 3) | 2)  # the identifier that clock_getcpuclockid(3) makes


def wakes(process: int) -> int:
    """Return how often the threads of a process have waited for something."""
    tasks = Path(f"/proc/{process}/task").glob("*/status")
    return sum(int(each.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0]) for each in tasks)


def resident_mb(process: int) -> float:
    """Return the resident memory of a process, MB."""
    return _status_mb(process, "VmRSS")


def peak_mb(process: int) -> float:
    """Return the highest resident memory of a process so far, MB."""
    return _status_mb(process, "VmHWM")


def _status_mb(process: int, field: str) -> float:
    return int(Path(f"/proc/{process}/status").read_text().split(f"{field}:")[1].split()[0]) * 1024 / MEGABYTE


def shared_memory_mb(process: int) -> tuple[float, float]:
    """Return the proportional set size (PSS) and the own memory of a process, MB."""
    lines = [line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]]
    values = {line[0]: int(line[1]) * 1024 / MEGABYTE for line in lines}
    return values["Pss:"], values["Private_Clean:"] + values["Private_Dirty:"]


def child_of(process: int) -> int:
    """Return the process id of the capture process, which is started again where the microphone was not yet there."""
    for _ in range(100):
        if children := Path(f"/proc/{process}/task/{process}/children").read_text().split():
            return int(children[0])
        time.sleep(0.1)
    raise TimeoutError("the daemon has no capture process")


@dataclass(frozen=True)
class ReadyDaemon:
    """Daemon that listens.

    Attributes:
        pid: process id.
        ready_seconds: time from its start to READY=1, s.
        ready_cpu_seconds: CPU time of its process until then, s.
    """

    pid: int
    ready_seconds: float
    ready_cpu_seconds: float


@contextlib.contextmanager
def running_daemon(
    arguments: Sequence[str],
    *,
    state: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    python: str = sys.executable,
    checkout: Path = ROOT,
) -> Iterator[ReadyDaemon]:
    """Run `earshot run` within the context, and yield it as soon as it reports READY=1, as to systemd.

    Args:
        arguments: of `earshot run`.
        state: state directory; a new one by default.
        environment: environment, to which state directory, import path and notification socket are added.
        python: interpreter.
        checkout: folder of Earshot's code.

    Raises:
        RuntimeError: the daemon is not ready in time.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(f"{folder}/notify")
        notified.settimeout(START_SECONDS)
        added = {"STATE_DIRECTORY": str(state or folder), "NOTIFY_SOCKET": f"{folder}/notify"}
        command = [python, "-m", "device", "run", *arguments]
        with (Path(folder) / "log").open("w") as log:
            started = time.monotonic()
            daemon = subprocess.Popen(
                command, cwd=checkout, env={**environment, **added, "PYTHONPATH": str(checkout)}, stderr=log
            )
        try:
            wait_for_ready(notified, Path(folder) / "log")
            yield ReadyDaemon(daemon.pid, time.monotonic() - started, cpu_seconds(daemon.pid))
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)


def wait_for_ready(notified: socket.socket, log: Path) -> None:
    """Wait until READY=1 arrives.

    Raises:
        RuntimeError: it does not arrive in time; the message has the daemon's log.
    """
    try:
        while b"READY=1" not in notified.recv(1 << 16):
            pass
    except TimeoutError:
        raise RuntimeError(f"the daemon is not ready after {START_SECONDS} s: {log.read_text().strip()}") from None
