"""Tests of the delivery to one service: retries, bounds, one line in the log."""

import logging
import threading

import pytest
from support import wait_until

from device.notify import delivery
from device.notify.delivery import Delivery
from device.notify.texts import Text


class FakeService:
    """Service that fails as the test asks."""

    name = "phone"

    def __init__(self):
        self.fault, self.taken, self.attempts = "", [], 0
        self.free = threading.Event()
        self.free.set()

    def send(self, text):
        self.attempts += 1
        assert self.free.wait(10)
        if self.fault and (self.fault != "poison" or text.title == "poison"):
            return f"{self.fault}. Cure"
        self.taken.append(text.title)
        return ""


@pytest.fixture
def service(monkeypatch):
    """Return a service, with short pauses after a failure."""
    monkeypatch.setattr(delivery, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(delivery, "_LAST_PAUSE_SECONDS", 0.04)
    return FakeService()


def test_a_failed_notification_is_sent_again_and_logged_once(service, caplog):
    """Retries go on until the service works, with one line in the log for the fault and one for its end."""
    caplog.set_level(logging.INFO)
    service.fault = "is down"
    with Delivery(service) as queue:
        queue.put(Text("first", ""))
        wait_until(lambda: service.attempts > 3, 10, "the retries")
        service.fault = ""
        wait_until(lambda: service.taken == ["first"], 10, "the delivery")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["service phone is down. Cure. Its notifications are sent again", "service phone works again"]


def test_a_notification_that_is_never_taken_delays_no_other(service):
    """Later notifications pass one that always fails."""
    service.fault = "poison"
    with Delivery(service) as queue:
        for title in ("poison", "first", "second"):
            queue.put(Text(title, ""))
        wait_until(lambda: service.taken == ["first", "second"], 10, "the others")


def test_a_service_that_hangs_blocks_nothing(service, monkeypatch):
    """While a service hangs, the caller never waits, and of too many notifications the oldest are dropped."""
    monkeypatch.setattr(delivery, "_LEAVE_SECONDS", 0.1)
    service.free.clear()
    with Delivery(service) as queue:
        queue.put(Text("hangs", ""))
        wait_until(lambda: service.attempts == 1, 10, "the first attempt")
        for number in range(60):
            queue.put(Text(str(number), ""))
        service.free.set()
        wait_until(lambda: len(service.taken) == 51, 10, "the delivery")
    assert service.taken == ["hangs", *map(str, range(10, 60))]


def test_an_old_notification_is_dropped(service, caplog):
    """A notification that fails for an hour is dropped, with a line in the log."""
    now = [0.0]
    service.fault = "is down"
    with Delivery(service, lambda: now[0]) as queue:
        queue.put(Text("old", ""))
        wait_until(lambda: service.attempts > 1, 10, "an attempt")
        now[0] = 3601.0
        wait_until(lambda: "is dropped" in caplog.text, 10, "the drop")
        service.fault = ""
        queue.put(Text("new", ""))
        wait_until(lambda: service.taken == ["new"], 10, "the delivery")


def test_waiting_notifications_are_sent_at_the_end(service):
    """At the end, what waits is sent once more; what fails then is counted in the log."""
    service.free.clear()
    with Delivery(service) as queue:
        queue.put(Text("first", ""))
        queue.put(Text("second", ""))
        service.free.set()
    assert service.taken == ["first", "second"]
