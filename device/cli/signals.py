"""Signals: Ctrl-C and SIGTERM end a command in order."""

import signal
import threading
from collections.abc import Callable


def on_signal(act: Callable[[], None]) -> None:
    """Call a function on the first Ctrl-C or SIGTERM. The second one kills the process, should it hang."""

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        act()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def stop_on_signal() -> threading.Event:
    """Return an event that is set on the first Ctrl-C or SIGTERM."""
    stop = threading.Event()
    on_signal(stop.set)
    return stop
