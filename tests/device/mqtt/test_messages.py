import dataclasses
import json
import re
from datetime import datetime

from device.mqtt.messages import correct_times, encode, event_message
from device.types import Event
from device.util.clock import CLOCK, Clock, rfc3339

START = Event(
    type="start",
    event_id="01a203db-acf5-764e-a16f-af94604912d3",
    label="dog_bark",
    confidence=0.91,
    scores={"dog_bark": 0.91, "siren": 0.02},
    start_time=1795590000.25,
    end_time=None,
    level_dbfs=-21.26,
    gate="level",
)
FIELDS = [
    *(
        "schema",
        "id",
        "event_id",
        "type",
        "node_id",
        "vocabulary",
        "label",
        "confidence",
        "scores",
        "start_time",
        "end_time",
    ),
    *(
        "duration_seconds",
        "level_dbfs",
        "laeq_db",
        "lamax_db",
        "rise_db",
        "level_calibrated",
        "gate",
        "bundle",
        "boot_id",
        "clock_synced",
        "replayed",
    ),
]


def test_a_start_message_has_every_field():
    """A start has exactly the contract's fields, null for the end's, without `sequence`, which the outbox adds."""
    message = event_message(START, node_id="balcony", bundle="urbansound8k@1.0.0", clock=CLOCK)
    assert list(message) == FIELDS
    assert message["schema"] == 1
    assert (message["type"], message["label"], message["confidence"]) == ("start", "dog_bark", 0.91)
    assert message["vocabulary"] == "bundle"
    assert message["start_time"] == "2026-11-25T07:00:00.250Z"
    assert message["end_time"] is None
    assert message["duration_seconds"] is None
    assert message["level_dbfs"] == -21.3
    assert message["replayed"] is False


def test_the_message_of_an_audioset_event_contains_the_display_name():
    """The label of an AudioSet event is the display name, its scores those of the configured classes."""
    scores = {"Doorbell": 0.8, "Knock": 0.1}
    event = dataclasses.replace(START, label="Doorbell", vocabulary="audioset", slug="doorbell", scores=scores)
    message = event_message(event, node_id="balcony", bundle="urbansound8k@1.0.0", clock=CLOCK)
    assert (message["vocabulary"], message["label"], message["scores"]) == ("audioset", "Doorbell", scores)
    assert "slug" not in message


def test_an_end_message_contains_the_duration():
    """An end contains its time and the duration."""
    end = dataclasses.replace(START, type="end", end_time=START.start_time + 2.5)
    message = event_message(end, node_id="balcony", bundle="urbansound8k@1.0.0", clock=CLOCK)
    assert message["end_time"] == "2026-11-25T07:00:02.750Z"
    assert message["duration_seconds"] == 2.5


def test_ids_are_uuid7_and_never_repeat():
    """Each message has its own id, ordered by time (version 7), so that subscribers can drop duplicates."""
    ids = [event_message(START, node_id="n", bundle="b@1", clock=CLOCK)["id"] for _ in range(100)]
    assert len(set(ids)) == 100
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", i) for i in ids)


def test_json_is_one_object_in_utf8():
    """A payload is one line of JSON in UTF-8."""
    payload = encode({"node_id": "Balkon süd"})
    assert b"\n" not in payload
    assert json.loads(payload.decode("utf-8")) == {"node_id": "Balkon süd"}


def test_times_are_rfc3339_in_utc():
    """A formatted time has milliseconds and Z, and is parsed to the same instant."""
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert datetime.fromisoformat(rfc3339(1795590000.25)).timestamp() == 1795590000.25


class SettableClock:
    """Machine without a battery clock: it boots in 1970, until network time sets its clock."""

    def __init__(self):
        self.seconds_since_boot, self.unix, self.is_set = 100.0, 1000.0, False
        self.clock = Clock(lambda: self.seconds_since_boot, lambda: self.unix, lambda: self.is_set)

    def pass_time(self, seconds):
        self.seconds_since_boot += seconds
        self.unix += seconds

    def set_by_network(self):
        self.unix, self.is_set = 1795590000.0 + self.seconds_since_boot, True


def message_of(machine, start, end=None):
    event = dataclasses.replace(START, start_time=start, end_time=end, type="end" if end else "start")
    return event_message(event, node_id="n", bundle="b@1", clock=machine.clock)


def test_the_times_of_an_earlier_event_are_corrected():
    """A message created before the clock was set, and sent later, has correct times and `clock_synced`."""
    machine = SettableClock()
    start = machine.clock.now()
    machine.pass_time(2.5)
    message, created = message_of(machine, start, machine.clock.now()), machine.clock.stamp()
    assert (message["start_time"], message["clock_synced"]) == ("1970-01-01T00:16:40.000Z", False)
    machine.pass_time(60)
    machine.set_by_network()
    corrected = correct_times(message, created, machine.clock)
    assert corrected["clock_synced"] is True
    assert corrected["start_time"] == rfc3339(1795590000.0 + 100)
    assert corrected["end_time"] == rfc3339(1795590000.0 + 102.5)
    assert {**corrected, **{key: message[key] for key in ("start_time", "end_time", "clock_synced")}} == message


def test_a_clock_that_is_set_during_an_event_does_not_change_its_duration():
    """The duration of an event is correct even if the clock was set during it, and so are both times."""
    machine = SettableClock()
    start = machine.clock.now()
    machine.pass_time(1)
    machine.set_by_network()
    machine.pass_time(1)
    message = message_of(machine, start, machine.clock.now())
    assert message["duration_seconds"] == 2.0
    assert message["start_time"] == rfc3339(1795590000.0 + 100)
    assert message["clock_synced"] is True


def test_an_event_of_an_earlier_boot_is_not_corrected():
    """A message of an earlier boot keeps its times and `clock_synced`, because the time without power is unknown."""
    machine = SettableClock()
    message, created = message_of(machine, machine.clock.now()), machine.clock.stamp()
    message["boot_id"] = "an earlier one"
    machine.set_by_network()
    assert correct_times(message, created, machine.clock) == message


def test_an_event_of_a_synced_clock_is_not_corrected():
    """A message of a synced clock keeps its times, even if the clock is changed later."""
    machine = SettableClock()
    machine.set_by_network()
    message, created = message_of(machine, machine.clock.now()), machine.clock.stamp()
    machine.unix += 3600
    assert correct_times(message, created, machine.clock) == message
