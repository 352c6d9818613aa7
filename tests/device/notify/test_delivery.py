"""Tests of the delivery to one service: retries, bounds, one line in the log."""

import logging
import threading
import time

import pytest
from support import wait_until

from device.notify import delivery
from device.notify.delivery import Deliveries
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
    with Deliveries([service]) as deliveries:
        deliveries.send(Text("first", ""), ())
        wait_until(lambda: service.attempts > 3, 10, "the retries")
        service.fault = ""
        wait_until(lambda: service.taken == ["first"], 10, "the delivery")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "notification to all services: first",
        "service phone is down. Cure. Its notifications are sent again",
        "service phone works again",
    ]


def test_a_notification_that_is_never_taken_delays_no_other(service):
    """Later notifications pass one that always fails."""
    service.fault = "poison"
    with Deliveries([service]) as deliveries:
        for title in ("poison", "first", "second"):
            deliveries.send(Text(title, ""), ())
        wait_until(lambda: service.taken == ["first", "second"], 10, "the others")


def test_a_service_that_hangs_blocks_nothing(service, monkeypatch):
    """While a service hangs, the caller never waits, and of too many notifications the oldest are dropped."""
    monkeypatch.setattr(delivery, "_LEAVE_SECONDS", 0.1)
    service.free.clear()
    with Deliveries([service]) as deliveries:
        deliveries.send(Text("hangs", ""), ())
        wait_until(lambda: service.attempts == 1, 10, "the first attempt")
        for number in range(60):
            deliveries.send(Text(str(number), ""), ())
        service.free.set()
        wait_until(lambda: len(service.taken) == 51, 10, "the delivery")
    assert service.taken == ["hangs", *map(str, range(10, 60))]


def test_an_old_notification_is_dropped(service, caplog, monkeypatch):
    """A notification that fails for an hour is dropped, with a line in the log."""
    service.fault = "is down"
    with Deliveries([service]) as deliveries:
        deliveries.send(Text("old", ""), ())
        wait_until(lambda: service.attempts > 1, 10, "an attempt")
        monkeypatch.setattr(delivery, "_OLDEST_SECONDS", 0.0)
        wait_until(lambda: "is dropped" in caplog.text, 10, "the drop")
        service.fault = ""
        deliveries.send(Text("new", ""), ())
        wait_until(lambda: service.taken == ["new"], 10, "the delivery")


def test_waiting_notifications_are_sent_at_the_end(service):
    """At the end, what waits is sent once more; what fails then is counted in the log."""
    service.free.clear()
    with Deliveries([service]) as deliveries:
        deliveries.send(Text("first", ""), ())
        deliveries.send(Text("second", ""), ())
        service.free.set()
    assert service.taken == ["first", "second"]


def test_services_that_hang_delay_the_end_together(monkeypatch, caplog):
    """The end waits for all services at once, and what they did not take is counted in the log."""
    monkeypatch.setattr(delivery, "_LEAVE_SECONDS", 0.5)
    services = [FakeService() for _ in range(20)]
    for service in services:
        service.free.clear()
    with Deliveries(services) as deliveries:
        for _ in range(2):
            deliveries.send(Text("hangs", ""), ())
        wait_until(lambda: all(service.attempts for service in services), 10, "the attempts")
        started = time.monotonic()
    assert time.monotonic() - started < 5  # 20 times 0.5 s would be 10 s
    assert caplog.text.count("service phone: 1 notifications were not sent") == 20
    for service in services:
        service.free.set()


def test_only_the_named_services_get_a_notification():
    """A notification with names goes to these services, one without names to all."""
    phone, mail = FakeService(), FakeService()
    mail.name = "mail"
    with Deliveries([phone, mail]) as deliveries:
        deliveries.send(Text("one", ""), ("mail",))
        deliveries.send(Text("all", ""), ())
    assert (phone.taken, mail.taken) == (["all"], ["one", "all"])
