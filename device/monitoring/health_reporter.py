"""Health reporter: the thread that publishes the health message."""

import threading
from collections.abc import Callable
from typing import Self

from device.util.supervised_thread import SupervisedThread

_REPORT_SECONDS = 60.0
"""Time between two reports while nothing changes."""


class HealthReporter:
    """Thread that reports at its start and end, every minute, and when the diagnosis changes; a context manager.

    Args:
        report: publishes the health message; called on this class's thread.
        changed: event that makes a report due.
    """

    def __init__(self, report: Callable[[], None], changed: threading.Event) -> None:
        self._report = report
        self._changed = changed
        self._stopping = False
        self._thread = SupervisedThread("health", self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.stop(self._changed.set)
        self._report()

    def _work(self) -> None:
        while not self._stopping:
            self._report()
            self._changed.wait(_REPORT_SECONDS)
            self._changed.clear()
