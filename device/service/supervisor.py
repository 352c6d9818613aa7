"""Supervisor of the daemon: runs it with the newest settings, reloads on request, reports to systemd.

Without systemd there are no reports, and the rest is the same. See docs/service.md.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, Self, TypeVar

from device.errors import EarshotError, UnavailableError
from device.service.status_reporter import RunStatus, StatusReporter
from device.service.systemd import Notify
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_STATUS_SECONDS = 5.0
"""Longest time between two status reports."""

Settings = TypeVar("Settings")


class Supervisor(Generic[Settings]):
    """Sequence of runs, one after each reload, with reports to systemd; a context manager.

    It has one thread: every request is a job in its inbox, and without a request it reports the status.

    Args:
        load: reads and checks all settings.
        notify: sends a message in the format of sd_notify(3); None without systemd.
        watchdog_seconds: time without `WATCHDOG=1` after which systemd restarts the daemon, s; None without a watchdog.
            A part without progress for half of it counts as hung.
        version: returns the version of what may change while the daemon runs; a new one is a request to reload.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        notify: Notify | None,
        watchdog_seconds: float | None,
        version: Callable[[], object] | None = None,
    ) -> None:
        self._load_settings = load
        self._version = version
        self._loaded_version: object = None
        self._notify = notify
        self._reporter = StatusReporter(notify, watchdog_seconds / 2 if watchdog_seconds else None)
        self._period = min(_STATUS_SECONDS, watchdog_seconds / 4 if watchdog_seconds else _STATUS_SECONDS)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()  # a signal handler may put into it
        self._lock = threading.Lock()
        self._next: Settings | None = None
        self._halt = threading.Event()
        self._stopping = False
        self._running = True
        self._run: RunStatus | None = None
        self._refused_reload = ""
        self._thread = SupervisedThread("supervisor", self._work)

    def __enter__(self) -> Self:
        """Start to report.

        Raises:
            UnavailableError: no socket at $NOTIFY_SOCKET.
        """
        if self._notify is not None:
            try:
                self._notify("STATUS=starts")
            except OSError as error:
                raise UnavailableError(
                    f"$NOTIFY_SOCKET: cannot be notified ({error}). Unset it where systemd does not run the daemon"
                ) from error
        if self._notify is not None or self._version is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop(lambda: self._inbox.put(self._end))

    def generations(self) -> Iterator[tuple[Settings, threading.Event]]:
        """Yield settings and the event that ends their run: at once, and after each reload, until `stop`.

        Raises:
            EarshotError: the first settings have faults.
        """
        self._next = self._load()
        while (generation := self._begin()) is not None:
            yield generation

    @contextlib.contextmanager
    def reporting(self, run: RunStatus) -> Iterator[None]:
        """Report this run's status within the context."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    def ready(self) -> None:
        """Report that the source delivers, or that its fault is known; any thread."""
        self._inbox.put(self._report_ready)

    def stop(self) -> None:
        """End the run and the generations; a signal handler may call it."""
        self._stopping = True
        self._halt.set()
        self._inbox.put(lambda: self._reporter.send("STOPPING=1\nSTATUS=stops"))

    def reload(self) -> None:
        """Begin a new run with new settings, if they have no faults; a signal handler may call it."""
        self._inbox.put(self._reload)

    def _begin(self) -> tuple[Settings, threading.Event] | None:
        with self._lock:
            settings, self._next = self._next, None
            self._halt = halt = threading.Event()
        return None if settings is None or self._stopping else (settings, halt)

    def _load(self) -> Settings:
        if self._version is not None:
            self._loaded_version = self._version()
        return self._load_settings()

    # The methods below run on the supervisor's thread.

    def _work(self) -> None:
        while self._running:
            try:
                job = self._inbox.get(timeout=self._period)
            except Empty:
                job = self._watch
            job()

    def _watch(self) -> None:
        """Reload if there is a new version, else report."""
        if self._version is not None and self._version() != self._loaded_version:
            self._reload()
        else:
            self._report()

    def _report(self) -> None:
        if (run := self._run) is not None:
            self._reporter.report(run, self._refused_reload)

    def _report_ready(self) -> None:
        self._reporter.send("READY=1")
        self._report()

    def _reload(self) -> None:
        self._reporter.send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._load()
        except EarshotError as error:
            self._refuse_reload(str(error).splitlines())
            return
        except Exception as error:
            self._refuse_reload([f"internal error ({error!r})"])
            raise  # the supervised thread logs it with its traceback
        _LOGGER.info("restarts with new settings")
        self._refused_reload = ""
        with self._lock:
            self._next = settings
            self._halt.set()

    def _refuse_reload(self, faults: list[str]) -> None:
        for fault in (*faults, "not reloaded: the settings stay as they were"):
            _LOGGER.error("%s", fault)
        self._refused_reload = f". NOT RELOADED: {'; '.join(faults)}"
        self._report_ready()

    def _end(self) -> None:
        self._running = False
