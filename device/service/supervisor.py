"""The daemon as a service: what systemd is told, the watchdog, and new settings on request (docs/service.md).

Without systemd the same runs, and nobody is told.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, Self, TypeVar

from device.errors import EarshotError, UnavailableError
from device.util.log_throttle import Complaints

_LOGGER = logging.getLogger(__name__)

_STATUS_SECONDS = 5.0
"""From one look at how things are to the next, at most."""

Notify = Callable[[str], object]
Settings = TypeVar("Settings")


class Stages(NamedTuple):
    """What a run tells of itself while it lasts.

    Attributes:
        status: gives a line for a person.
        silent_seconds: by part, how long it has owed a sign of life, s.
    """

    status: Callable[[], str]
    silent_seconds: Mapping[str, Callable[[], float]]


class Service(Generic[Settings]):
    """Runs again and again with the newest settings, and keeps systemd informed; a context manager.

    One thread of its own: each thing that happens is a job in its inbox, and when nothing does, it looks how the
    stages are.

    Args:
        load: reads and checks all settings.
        notify: takes a message as sd_notify(3) has it; None where nobody listens.
        watchdog_seconds: time without `WATCHDOG=1` after which systemd restarts us; None for no watchdog. A part
            that owes a sign of life for half as long is taken to hang.
    """

    def __init__(self, load: Callable[[], Settings], notify: Notify | None, watchdog_seconds: float | None) -> None:
        self._load = load
        self._notify = notify
        self._patience = watchdog_seconds / 2 if watchdog_seconds else None
        self._period = min(_STATUS_SECONDS, watchdog_seconds / 4 if watchdog_seconds else _STATUS_SECONDS)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()  # may be put to from a signal handler
        self._lock = threading.Lock()
        self._next: Settings | None = None
        self._halt = threading.Event()
        self._stopping = False
        self._running = True
        self._stages: Stages | None = None
        self._refused = ""
        self._hanging = ""
        self._told = ""
        self._complaints = Complaints()
        self._thread = threading.Thread(target=self._work, name="service", daemon=True)

    def __enter__(self) -> Self:
        """Begin to tell.

        Raises:
            UnavailableError: nobody is where $NOTIFY_SOCKET says.
        """
        if self._notify is not None:
            try:
                self._notify("STATUS=starts")
            except OSError as error:
                raise UnavailableError(
                    f"$NOTIFY_SOCKET: cannot be told anything ({error}). Unset it where systemd does not run us"
                ) from error
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._inbox.put(self._end)
        if self._thread.is_alive():
            self._thread.join()

    def generations(self) -> Iterator[tuple[Settings, threading.Event]]:
        """Yield what to run with, and what ends that run: at once, and again after each reload, until `stop`.

        Raises:
            EarshotError: the first settings have faults.
        """
        self._next = self._load()
        while (generation := self._begin()) is not None:
            yield generation

    @contextlib.contextmanager
    def watching(self, stages: Stages) -> Iterator[None]:
        """Tell of these stages meanwhile."""
        self._stages = stages
        try:
            yield
        finally:
            self._stages = None

    def ready(self) -> None:
        """It listens, or knows why it cannot; any thread."""
        self._inbox.put(self._say_ready)

    def stop(self) -> None:
        """End; may be called from a signal handler."""
        self._stopping = True
        self._halt.set()
        self._inbox.put(lambda: self._say("STOPPING=1\nSTATUS=stops"))

    def reload(self) -> None:
        """Take up new settings if they have no faults; may be called from a signal handler."""
        self._inbox.put(self._reload)

    def _begin(self) -> tuple[Settings, threading.Event] | None:
        with self._lock:
            settings, self._next = self._next, None
            self._halt = halt = threading.Event()
        return None if settings is None or self._stopping else (settings, halt)

    # What follows runs on the service's thread.

    def _work(self) -> None:
        while self._running:
            try:
                job = self._inbox.get(timeout=self._period)
            except Empty:
                job = self._look
            job()

    def _look(self) -> None:
        """Say how things are, and that we live if we do."""
        stages = self._stages
        if stages is None:
            return
        status = stages.status() + self._refused
        if status != self._told:
            self._told = status
            self._say(f"STATUS={status}")
        if self._patience is not None and self._lives(stages, self._patience):
            self._say("WATCHDOG=1")

    def _lives(self, stages: Stages, patience: float) -> bool:
        silent = {part: seconds() for part, seconds in stages.silent_seconds.items()}
        hanging = ", ".join(part for part, seconds in silent.items() if seconds > patience)
        if hanging != self._hanging:
            self._hanging = hanging
            if hanging:
                _LOGGER.error("%s: no sign of life for %.0f s. systemd will restart the service", hanging, patience)
            else:
                _LOGGER.warning("all parts show life again")
        return not hanging

    def _say_ready(self) -> None:
        self._say("READY=1")
        self._look()

    def _reload(self) -> None:
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._load()
        except EarshotError as error:
            self._refuse(str(error).splitlines())
            return
        _LOGGER.info("begins anew, with new settings")
        self._refused = ""
        with self._lock:
            self._next = settings
            self._halt.set()

    def _refuse(self, faults: list[str]) -> None:
        for fault in (*faults, "not reloaded: the settings stay as they were"):
            _LOGGER.error("%s", fault)
        self._refused = f". NOT RELOADED: {'; '.join(faults)}"
        self._say_ready()

    def _end(self) -> None:
        self._running = False

    def _say(self, message: str) -> None:
        if self._notify is not None:
            try:
                self._notify(message)
            except OSError as error:
                self._complaints.say(f"systemd cannot be told how the service is ({error})")


def systemd_notify(environment: Mapping[str, str] = os.environ) -> Notify | None:
    """What tells the service manager that runs us; None where none does.

    Raises:
        UnavailableError: it wants to be told, and systemd-python is not installed.
    """
    if "NOTIFY_SOCKET" not in environment:
        return None
    try:
        from systemd.daemon import notify
    except ImportError as error:
        raise UnavailableError(
            "systemd waits to be told that we are ready, and systemd-python is not installed. "
            "Run: sudo apt-get install libsystemd-dev pkg-config python3-dev gcc && pip install 'earshot[service]'"
        ) from error
    function: Notify = notify
    return function


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """The unit's WatchdogSec, s; None where there is none, or it is not for this process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(environment.get("WATCHDOG_USEC", "0")) / 1e6 or None


def journal_handler(environment: Mapping[str, str] = os.environ) -> logging.Handler | None:
    """Writes log lines to the journal with their fields, where our stderr goes there; else None."""
    if "JOURNAL_STREAM" not in environment:
        return None
    stderr = os.fstat(sys.stderr.fileno())
    if environment["JOURNAL_STREAM"] != f"{stderr.st_dev}:{stderr.st_ino}":
        return None  # it was redirected since
    try:
        from systemd.journal import JournalHandler
    except ImportError:
        return None  # the lines reach it over stderr, without fields
    handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="earshot")
    return handler
