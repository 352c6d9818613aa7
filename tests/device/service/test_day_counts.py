"""Tests of the counts of the day."""

import json

import pytest
from support import wait_until

from device.model.sound_names import sound_names
from device.service.day_counts import Day, DayCounts
from device.types import Event
from device.util.clock import Clock
from device.util.json_store import JsonStore

NAMES = sound_names(("siren", "dog_bark"))


class Device:
    """Counts of one run of the device.

    Attributes:
        wall: time of the system clock, Unix seconds.
        synced: whether network time has set it.
        messages: published messages.
    """

    def __init__(self, folder, wall, synced=True):
        self.wall, self.synced, self.messages = wall, synced, []
        self._steady = 1000.0
        self._clock = Clock(lambda: self._steady, lambda: self.wall, lambda: self.synced)
        store = JsonStore(folder / "today.json", Day)
        self.counts = DayCounts("balcony", NAMES, store, lambda _, payload: self.messages.append(payload), self._clock)
        self.counts._update()

    def hear(self, label, ago=0.0):
        """Start an event of a label, `ago` seconds before the present time."""
        self.counts.on_event(event(label, self._clock.now() - ago))
        self.counts._update()

    def sleep(self, seconds):
        """Let time pass."""
        self._steady += seconds
        self.wall += seconds
        self.counts._update()

    def set_clock(self, wall):
        """Set the system clock, as network time does."""
        self.wall, self.synced = wall, True
        self.counts._update()

    @property
    def today(self):
        """Date and counts, as published last."""
        message = json.loads(self.messages[-1])
        return message["date"], message["counts"]["siren"], message["counts"]["dog_bark"]

    @property
    def last_times(self):
        return json.loads(self.messages[-1])["last_times"]


def event(label, start_time, end_time=None):
    return Event("start", "7", label, 0.9, {}, start_time, end_time, -20.0, "level")


def test_starts_are_counted_by_label(tmp_path, berlin_time):
    """Each start counts once and is the last time of its label; an end changes nothing."""
    device = Device(tmp_path, berlin_time(2026, 11, 27, 12, 0))
    assert json.loads(device.messages[-1]) == {
        "schema": 1,
        "node_id": "balcony",
        "date": "2026-11-27",
        "counts": {"siren": 0, "dog_bark": 0},
        "last_times": {"siren": None, "dog_bark": None},
    }
    for _ in range(3):
        device.hear("dog_bark")
        device.sleep(60)
    device.counts.on_event(event("siren", device.wall, device.wall))
    device.counts._update()
    assert device.today == ("2026-11-27", 0, 3)
    assert device.last_times == {"siren": None, "dog_bark": "2026-11-27T11:02:00.000Z"}


def test_counts_survive_a_restart(tmp_path, berlin_time):
    """Another run of the same day continues the counts; one of the next day begins with zero and keeps last times."""
    noon = berlin_time(2026, 11, 27, 12, 0)
    Device(tmp_path, noon).hear("siren")
    same_day = Device(tmp_path, noon + 3600)
    same_day.hear("siren")
    assert same_day.today == ("2026-11-27", 2, 0)
    next_day = Device(tmp_path, noon + 86400)
    assert next_day.today == ("2026-11-28", 0, 0)
    assert next_day.last_times["siren"] == "2026-11-27T12:00:00.000Z"


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 11, 27), 24), ((2026, 10, 25), 25)])
def test_a_day_ends_at_local_midnight(tmp_path, berlin_time, day, hours):
    """Days of 23, 24 and 25 hours end after that time, and the thread wakes for it."""
    device = Device(tmp_path, berlin_time(*day, 0, 0))
    device.hear("siren")
    date = device.today[0]
    device.sleep(hours * 3600 - 1)
    assert device.today == (date, 1, 0)
    assert device.counts._pause_seconds() == pytest.approx(1)
    device.sleep(1)
    assert device.today[0] > date
    assert device.today[1:] == (0, 0)


def test_an_event_belongs_to_the_day_on_which_it_started(tmp_path, berlin_time):
    """A start that is detected after midnight and began before it does not count for the new day."""
    device = Device(tmp_path, berlin_time(2026, 11, 28, 0, 0, 2))
    device.hear("siren", ago=3)
    assert device.today == ("2026-11-28", 0, 0)
    device.hear("siren", ago=1)
    assert device.today == ("2026-11-28", 1, 0)


def test_a_clock_in_the_past_does_not_end_the_day(tmp_path, berlin_time):
    """Until network time sets the clock, the stored day continues; then the right day counts what it contains."""
    Device(tmp_path, berlin_time(2026, 11, 27, 12, 0)).hear("siren")
    device = Device(tmp_path, berlin_time(2026, 11, 20, 9, 0), synced=False)
    device.hear("siren")
    assert device.today == ("2026-11-27", 2, 0)
    device.set_clock(berlin_time(2026, 11, 28, 8, 0))
    assert device.today == ("2026-11-28", 1, 0)
    assert device.last_times["siren"] == "2026-11-28T07:00:00.000Z"
    device.sleep(1)
    device.hear("dog_bark")
    assert device.today == ("2026-11-28", 1, 1)


def test_a_day_in_the_future_ends_when_the_clock_is_right(tmp_path, berlin_time):
    """A wrong clock of the next century leaves no counts behind."""
    Device(tmp_path, berlin_time(2126, 1, 1, 12, 0)).hear("siren")
    assert Device(tmp_path, berlin_time(2026, 11, 27, 12, 0)).today == ("2026-11-27", 0, 0)


def test_the_thread_counts_and_stores_the_last_start(tmp_path):
    """Counts are published from a thread, and the last start before the end is stored."""
    messages = []

    def counts():
        store = JsonStore(tmp_path / "today.json", Day)
        return DayCounts("balcony", NAMES, store, lambda name, payload: messages.append((name, json.loads(payload))))

    clock = Clock()
    with counts() as first:
        wait_until(lambda: messages, 10, "the first message")
        first.on_event(event("siren", clock.now()))
        wait_until(lambda: messages[-1][1]["counts"]["siren"] == 1, 10, "the count")
        first.on_event(event("siren", clock.now()))
    assert JsonStore(tmp_path / "today.json", Day).content.counts == {"siren": 2}
    assert {name for name, _ in messages} == {"today"}
