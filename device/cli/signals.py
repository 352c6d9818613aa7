"""Signals: orderly end of a command on Ctrl-C or SIGTERM."""

import signal
import threading
from collections.abc import Callable


def on_signal(handler: Callable[[], None]) -> None:
    """Call a function on the first Ctrl-C or SIGTERM. A second signal kills the process, in case it hangs."""

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        handler()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def stop_on_signal() -> threading.Event:
    """Return an event that is set on the first Ctrl-C or SIGTERM."""
    stop = threading.Event()
    on_signal(stop.set)
    return stop
