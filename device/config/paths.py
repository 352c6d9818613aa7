"""State directory: where the outbox, the sequence number, switches and clips are stored."""

import os
from pathlib import Path

from device.errors import ConfigError

SERVICE_STATE = Path("/var/lib/earshot")
"""State directory of the service (`StateDirectory` of its unit). Only root can read it."""


def state_directory() -> Path:
    """Return the folder of the state: $STATE_DIRECTORY, which systemd sets, else the user's.

    Raises:
        ConfigError: the user has no home directory.
    """
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder)
    if folder := os.environ.get("XDG_STATE_HOME"):
        return Path(folder) / "earshot"
    try:
        return Path.home() / ".local" / "state" / "earshot"
    except RuntimeError as error:
        raise ConfigError(
            "STATE_DIRECTORY: not set, and this user has no home directory. Set it to a folder for the outbox"
        ) from error


def readable_state() -> Path:
    """Return the folder whose state a command shows: of the service if this user may read it, else `state_directory`.

    $STATE_DIRECTORY selects another one.
    """
    if "STATE_DIRECTORY" not in os.environ and os.access(SERVICE_STATE, os.R_OK | os.X_OK):
        return SERVICE_STATE
    return state_directory()
