"""Supervised threads: a thread that ends unasked is logged, started again after a pause, and counted."""

import logging
import threading
import time
from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LAST_PAUSE_SECONDS = 30.0
_STABLE_SECONDS = 60.0
"""Run time after which the next pause is the first one again, s."""


class ThreadRegistry:
    """Record of the supervised threads of this process; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missing: list[str] = []
        self._failures = 0

    @property
    def failures(self) -> int:
        """Number of times that a thread has ended unasked."""
        return self._failures

    def missing(self) -> list[str]:
        """Return the names of the threads that ended unasked and do not run again yet."""
        with self._lock:
            return sorted(self._missing)

    def record_end(self, name: str, *, is_missed: bool) -> None:
        """Count a thread that ended unasked. It is missing until `record_return`, if it is missed at all."""
        with self._lock:
            self._failures += 1
            self._missing += [name] if is_missed else []

    def record_return(self, name: str) -> None:
        """Record that a missing thread runs again."""
        with self._lock:
            self._missing.remove(name)


THREADS = ThreadRegistry()
"""Registry of this process. The health message and the watchdog read it."""


class SupervisedThread:
    """Thread whose work is done again when it ends unasked: by an exception, or by a return before `stop`.

    Args:
        name: name in the log and in the health message.
        work: runs until `stop` wakes it. It is called again after an unasked end, so it keeps no state of its own.
        finite: True for work that has an end of its own. Such work is not done again; its owner starts another thread.
        registry: counts the unasked ends.
    """

    def __init__(
        self, name: str, work: Callable[[], object], *, finite: bool = False, registry: ThreadRegistry = THREADS
    ) -> None:
        self._name = name
        self._work = work
        self._finite = finite
        self._registry = registry
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the system admits no further thread.
        """
        self._thread.start()

    def stop(self, wake: Callable[[], object] = lambda: None, timeout: float | None = None) -> None:
        """End the thread. A thread in the pause before a new start works once more, so that its queue is emptied.

        Args:
            wake: makes the work return.
            timeout: longest wait for the end, s; None for any time.
        """
        self._stopping.set()
        wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        pause, is_last = _FIRST_PAUSE_SECONDS, False
        while True:
            started = time.monotonic()
            if self._ends_as_asked():
                return
            self._registry.record_end(self._name, is_missed=not self._finite)
            if self._finite:
                return
            if time.monotonic() - started > _STABLE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._stopping.wait(pause)
            self._registry.record_return(self._name)
            if is_last:
                return
            is_last, pause = self._stopping.is_set(), min(2 * pause, _LAST_PAUSE_SECONDS)

    def _ends_as_asked(self) -> bool:
        """Do the work; log an unasked end with its traceback."""
        try:
            self._work()
        except BaseException:
            _LOGGER.exception("thread %r failed%s", self._name, "" if self._finite else ". It starts again")
            return False
        if self._finite or self._stopping.is_set():
            return True
        _LOGGER.error("thread %r ended unasked. It starts again", self._name)
        return False
