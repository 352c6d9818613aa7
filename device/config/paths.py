"""State directory: where the outbox, the history, the sequence number, switches and clips are stored."""

import os
from pathlib import Path

SERVICE_STATE = Path("/var/lib/earshot")
"""State directory of the service (`StateDirectory` of its unit). Only root can read it."""


def state_directory() -> Path:
    """Return the folder of the state: $STATE_DIRECTORY, which systemd sets, else the user's."""
    if "STATE_DIRECTORY" in os.environ:
        return Path(os.environ["STATE_DIRECTORY"])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "earshot"


def readable_state() -> Path:
    """Return the folder whose state a command shows: of the service if this user may read it, else `state_directory`.

    $STATE_DIRECTORY selects another one.
    """
    if "STATE_DIRECTORY" not in os.environ and os.access(SERVICE_STATE, os.R_OK | os.X_OK):
        return SERVICE_STATE
    return state_directory()
