"""Heartbeat: a watchdog without systemd, as in a container, and the file of a health check."""

import faulthandler
from pathlib import Path

from device.errors import UnavailableError

HEARTBEAT_SECONDS = 60.0
"""Time without progress after which the daemon ends itself, s: that of `WatchdogSec` in its unit."""


class Heartbeat:
    """Receiver of the messages that a service manager would get, in the format of sd_notify(3).

    `READY=1` and each `WATCHDOG=1` touch a file, whose age is the health check, and start the watchdog anew. The
    watchdog is a thread of the interpreter that needs no lock, so it works while all of Python hangs. It prints the
    stack of each thread and ends the process with exit code 1; whoever started it starts it again.

    Args:
        file: the file to touch. It is deleted first, because an earlier run may have left it.
        seconds: time of the watchdog, s.

    Raises:
        UnavailableError: the file cannot be written.
    """

    def __init__(self, file: Path, seconds: float = HEARTBEAT_SECONDS) -> None:
        self._file = file
        self._seconds = seconds
        try:
            file.touch()
            file.unlink()
        except OSError as error:
            raise UnavailableError(
                f"--heartbeat {file}: cannot be written ({error.strerror}). Choose a file in a folder that this user "
                "may write, such as /dev/shm"
            ) from error

    def __call__(self, message: str) -> None:
        """Obey one message.

        Raises:
            OSError: the file cannot be touched. The watchdog was started anew all the same.
        """
        states = message.splitlines()
        if "STOPPING=1" in states:
            faulthandler.cancel_dump_traceback_later()  # the service manager limits the time of the stop
        elif "READY=1" in states or "WATCHDOG=1" in states:
            faulthandler.dump_traceback_later(self._seconds, exit=True)
            self._file.touch()
