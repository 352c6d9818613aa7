"""Common parts of the capture programs: their end with the daemon, and their output."""

import os
import sys
import threading
import time


def exit_with_parent() -> None:
    """Exit when the daemon is gone, even while a library blocks; otherwise the source would stay in use."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def write(data: bytes) -> None:
    """Write all of the data: a signal may interrupt a write, and half a sample would turn the rest into noise."""
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]
