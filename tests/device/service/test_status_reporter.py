"""Tests of the status reporter: status line and watchdog."""

import logging

import pytest
from supervised_daemon import SupervisedDaemon
from support import wait_until

from device.service.status_reporter import RunStatus, StatusReporter


class Run:
    """Running parts, with the state that the test sets."""

    def __init__(self):
        self.summary = "connected"
        self.silent_seconds = {"listening": 0.0, "outbox": 0.0}
        parts = {part: lambda part=part: self.silent_seconds[part] for part in self.silent_seconds}
        self.status = RunStatus(lambda: self.summary, parts)


def test_the_status_line_is_sent_when_it_changes():
    """The same line is sent once; a refused reload is appended to it."""
    messages, run = [], Run()
    reporter = StatusReporter(messages.append, None)
    for refused_reload in ("", "", ". NOT RELOADED: a fault"):
        reporter.report(run.status, refused_reload)
    run.summary = "away"
    reporter.report(run.status, "")
    assert messages == ["STATUS=connected", "STATUS=connected. NOT RELOADED: a fault", "STATUS=away"]


def test_the_watchdog_is_fed_at_each_report_while_all_parts_make_progress():
    """A part may be silent up to the patience of 10 s, and below 0 while no item is expected."""
    messages, run = [], Run()
    reporter = StatusReporter(messages.append, 10.0)
    for silent_seconds in (0.0, 10.0, -float("inf"), 10.1, 0.0):
        run.silent_seconds["outbox"] = silent_seconds
        reporter.report(run.status, "")
    assert messages.count("WATCHDOG=1") == 4


def test_hanging_parts_are_logged_once(caplog):
    """All hanging parts are named in one error, and the recovery is one warning."""
    caplog.set_level(logging.WARNING)
    run = Run()
    reporter = StatusReporter(lambda _message: None, 10.0)
    for silent_seconds in (0.0, 11.0, 12.0, 0.0, 0.0):
        run.silent_seconds = dict.fromkeys(run.silent_seconds, silent_seconds)
        reporter.report(run.status, "")
    assert caplog.messages == [
        "listening, outbox: no progress for 10 s. The watchdog will end the daemon",
        "all parts make progress again",
    ]


def test_without_systemd_nothing_is_sent():
    """Status and messages are dropped without an error."""
    reporter = StatusReporter(None, None)
    reporter.report(Run().status, "")
    reporter.send("READY=1")


def test_a_failed_notification_is_a_warning(caplog):
    """Detection must continue without the notification socket."""

    def notify(_message):
        raise OSError("connection refused")

    StatusReporter(notify, None).send("READY=1")
    assert caplog.messages == ["the watchdog cannot be notified (connection refused)"]


@pytest.mark.parametrize("part", ["listening", "outbox"])
def test_the_watchdog_is_fed_only_while_all_parts_make_progress(caplog, part):
    """A part without progress for half of the watchdog's time is logged, and systemd receives no `WATCHDOG=1`."""
    with SupervisedDaemon(lambda: "one", watchdog=0.08) as daemon:
        daemon.wait_for_message("WATCHDOG=1", 3)
        daemon.silent_seconds[part] = 0.05
        wait_until(lambda: caplog.records, 10, "the line that names the part")
        count = daemon.messages.count("WATCHDOG=1")
        daemon.silent_seconds[part] = 0.03
        daemon.wait_for_message("WATCHDOG=1", count + 1)
    hangs, recovered = [record.getMessage() for record in caplog.records]
    assert hangs.startswith(f"{part}: no progress")
    assert recovered == "all parts make progress again"
