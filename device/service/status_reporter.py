"""Status reporter: the status line and the watchdog of systemd, from the state of the running parts."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from device.config.models import Config
from device.monitoring.health import Health
from device.mqtt.publisher import Publisher
from device.service.systemd import Notify
from device.util.log_throttle import LogThrottle
from device.util.supervised_thread import THREADS

_LOGGER = logging.getLogger(__name__)


class RunStatus(NamedTuple):
    """State of a run, read while it lasts.

    Attributes:
        summary: returns the status line.
        silent_seconds: by part, a function that returns how long it has shown no progress, s.
    """

    summary: Callable[[], str]
    silent_seconds: Mapping[str, Callable[[], float]]


class StatusReporter:
    """Sender of the status to systemd, and of `WATCHDOG=1` while all parts make progress and no thread is missing.

    Used from one thread.

    Args:
        notify: sends a message in the format of sd_notify(3); None without systemd.
        patience: time without progress after which a part counts as hung, s; None without a watchdog.
        missing: returns the threads that ended unasked and do not run again yet.
    """

    def __init__(
        self, notify: Notify | None, patience: float | None, missing: Callable[[], Sequence[str]] = THREADS.missing
    ) -> None:
        self._notify = notify
        self._patience = patience
        self._missing = missing
        self._hanging = ""
        self._reported = ""
        self._log_throttle = LogThrottle()

    def report(self, run: RunStatus, refused_reload: str) -> None:
        """Send the status line if it changed, and feed the watchdog.

        Args:
            run: state of the run.
            refused_reload: appended to the status line; empty if the last reload succeeded.
        """
        status = run.summary() + refused_reload
        if status != self._reported:
            self._reported = status
            self.send(f"STATUS={status}")
        if self._patience is not None and self._makes_progress(run, self._patience) and not self._missing():
            self.send("WATCHDOG=1")

    def send(self, message: str) -> None:
        """Send a message to systemd. A failure is logged, because detection must continue."""
        if self._notify is None:
            return
        try:
            self._notify(message)
        except OSError as error:
            self._log_throttle.warning(f"the watchdog cannot be notified ({error})")

    def _makes_progress(self, run: RunStatus, patience: float) -> bool:
        silent = {part: seconds() for part, seconds in run.silent_seconds.items()}
        hanging = ", ".join(part for part, seconds in silent.items() if seconds > patience)
        if hanging != self._hanging:
            self._hanging = hanging
            if hanging:
                _LOGGER.error("%s: no progress for %.0f s. The watchdog will end the daemon", hanging, patience)
            else:
                _LOGGER.warning("all parts make progress again")
        return not hanging


def status_line(health: Health, publisher: Publisher, config: Config) -> str:
    """Describe the state in one line for a person, as `systemctl status` shows it."""
    status = publisher.status()
    broker = f"broker {config.mqtt.host}:{config.mqtt.port}"
    return ". ".join(
        (
            health.summary(),
            f"{broker} connected" if status.connected else f"{broker} away",
            f"{status.outbox.depth or 'no'} messages wait",
        )
    )
