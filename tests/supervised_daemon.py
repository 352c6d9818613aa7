"""Supervised daemon without stages, for the tests of the supervisor and the status reporter."""

import threading

from support import wait_until

from device.service.status_reporter import RunStatus
from device.service.supervisor import Supervisor


class SupervisedDaemon:
    """Daemon whose runs do nothing, on its own thread; a context manager.

    Args:
        load: returns the settings of the next run.
        watchdog: time of systemd's watchdog, s; None without one.
        version: returns the version of what is reloaded by itself; None for nothing.

    Attributes:
        messages: messages to systemd, in their order.
        ran_with: settings of the runs so far.
        silent_seconds: time without progress of each part, s; the test sets it.
    """

    def __init__(self, load, watchdog=None, version=None):
        self.messages, self.ran_with = [], []
        self.silent_seconds = {"listening": 0.0, "outbox": 0.0}
        self.supervisor = Supervisor(load, self.messages.append, watchdog, version)
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        parts = {part: lambda part=part: self.silent_seconds[part] for part in self.silent_seconds}
        with self.supervisor as supervisor:
            for settings, stop in supervisor.generations():
                self.ran_with.append(settings)
                with supervisor.reporting(RunStatus(lambda settings=settings: f"runs with {settings}", parts)):
                    supervisor.ready()
                    stop.wait()

    def wait_for_message(self, message, times=1):
        """Wait until systemd has received a message this many times."""
        wait_until(lambda: self.messages.count(message) >= times, 10, f"{message}, {times} times,")

    def __enter__(self):
        self._thread.start()
        self.wait_for_message("READY=1")
        return self

    def __exit__(self, *_):
        self.supervisor.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
