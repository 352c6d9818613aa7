"""Tests of the supervisor: start, reload and stop."""

import logging
import threading

from supervised_daemon import SupervisedDaemon

from device.errors import ConfigError


def test_start_and_stop_are_reported():
    """Systemd receives the start, readiness, the status and the stop, in this order."""
    with SupervisedDaemon(lambda: "one") as daemon:
        daemon.wait_for_message("STATUS=runs with one")
    assert daemon.messages == ["STATUS=starts", "READY=1", "STATUS=runs with one", "STOPPING=1\nSTATUS=stops"]


def test_a_reload_runs_with_the_new_settings():
    """The run ends and the next one begins with the new settings; systemd is notified before and after."""
    versions = iter(["one", "two", "three"])
    with SupervisedDaemon(lambda: next(versions)) as daemon:
        for number in (2, 3):
            daemon.supervisor.reload()
            daemon.wait_for_message("READY=1", number)
    assert daemon.ran_with == ["one", "two", "three"]
    reloading = [message for message in daemon.messages if message.startswith("RELOADING=1\nMONOTONIC_USEC=")]
    assert len(reloading) == 2
    assert daemon.messages.index(reloading[0]) < daemon.messages.index("STATUS=runs with two")


def test_settings_with_faults_are_refused(caplog):
    """The run continues with the old settings, and all faults stay in the status until a reload succeeds."""
    results = iter(["one", ConfigError("first fault\nsecond fault"), "two"])

    def load():
        result = next(results)
        if isinstance(result, ConfigError):
            raise result
        return result

    with SupervisedDaemon(load) as daemon:
        daemon.supervisor.reload()
        daemon.wait_for_message("STATUS=runs with one. NOT RELOADED: first fault; second fault")
        assert daemon.ran_with == ["one"]
        daemon.supervisor.reload()
        daemon.wait_for_message("STATUS=runs with two")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors[:2] == ["first fault", "second fault"]


def test_a_stop_during_a_reload_prevents_the_next_run():
    """A supervisor that is stopped while it loads new settings begins no run with them."""
    loading, finish_loading = threading.Event(), threading.Event()
    results = iter(["one", "two"])

    def load():
        result = next(results)
        if result == "two":
            loading.set()
            finish_loading.wait(10)
        return result

    with SupervisedDaemon(load) as daemon:
        daemon.supervisor.reload()
        assert loading.wait(10)
        daemon.supervisor.stop()
        finish_loading.set()
    assert daemon.ran_with == ["one"]


def test_a_new_version_is_reloaded_by_itself():
    """A change on disk is loaded once, without a request; a refused version is not tried again and again."""
    versions, loaded = ["one"], []

    def load():
        loaded.append(versions[-1])
        if versions[-1] == "bad":
            raise ConfigError("fault")
        return versions[-1]

    with SupervisedDaemon(load, watchdog=0.2, version=lambda: versions[-1]) as daemon:
        versions.append("two")
        daemon.wait_for_message("STATUS=runs with two")
        versions.append("bad")
        daemon.wait_for_message("STATUS=runs with two. NOT RELOADED: fault")
        versions.append("three")
        daemon.wait_for_message("STATUS=runs with three")
    assert loaded == ["one", "two", "bad", "three"]
