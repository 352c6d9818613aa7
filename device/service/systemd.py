"""Interface to systemd: notification socket, watchdog time, journal."""

import logging
import os
import sys
from collections.abc import Callable, Mapping

from device.errors import UnavailableError
from device.util.extras import install_command

Notify = Callable[[str], object]
"""Function that sends a message in the format of sd_notify(3)."""


def systemd_notify(environment: Mapping[str, str] = os.environ) -> Notify | None:
    """Return the function that notifies the service manager; None without one.

    Raises:
        UnavailableError: there is a service manager, and systemd-python is not installed.
    """
    if "NOTIFY_SOCKET" not in environment:
        return None
    try:
        from systemd.daemon import notify
    except ImportError as error:
        raise UnavailableError(
            "systemd expects a notification when the daemon is ready, and systemd-python is not installed. "
            "Run: sudo apt-get install libsystemd-dev pkg-config python3-dev gcc && " + install_command("service")
        ) from error
    function: Notify = notify
    return function


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return the unit's WatchdogSec, s; None without a watchdog, or if it is meant for another process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(environment.get("WATCHDOG_USEC", "0")) / 1e6 or None


def journal_handler(environment: Mapping[str, str] = os.environ) -> logging.Handler | None:
    """Return a handler that logs to the journal with fields; None if stderr does not go to the journal."""
    if "JOURNAL_STREAM" not in environment:
        return None
    stderr = os.fstat(sys.stderr.fileno())
    if environment["JOURNAL_STREAM"] != f"{stderr.st_dev}:{stderr.st_ino}":
        return None  # stderr was redirected later
    try:
        from systemd.journal import JournalHandler
    except ImportError:
        return None  # lines reach the journal over stderr, without fields
    handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="earshot")
    return handler
