"""State directory: where the outbox, the sequence number, switches and clips are stored."""

import os
from pathlib import Path


def state_directory() -> Path:
    """Return the folder of the state: $STATE_DIRECTORY, which systemd sets, else the user's."""
    if "STATE_DIRECTORY" in os.environ:
        return Path(os.environ["STATE_DIRECTORY"])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "earshot"
