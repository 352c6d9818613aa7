"""Tests of health and its reporter."""

import dataclasses
import logging
import threading

import numpy as np
import pytest
from support import wait_until

from device.monitoring.health import TRACE, Health
from device.monitoring.health_reporter import HealthReporter
from device.monitoring.inference_timer import InferenceTimer
from device.types import Refusal


def refusal(reason="below_threshold", confidence=0.4, threshold=0.6, time=1000.0):
    """Make a refusal of a siren."""
    return Refusal(reason, "siren", confidence, threshold, time)


def test_the_gate_s_time_is_counted():
    """The report has the seconds of all blocks, the seconds with an open gate, and the openings by reason."""
    health = Health()
    for gate in [None] * 10 + ["level"] * 5 + [None] * 3 + ["vad"] * 2:
        health.on_block(0.03, gate)
    assert health.report()["gate"] == {
        "listened_seconds": 0.6,
        "open_seconds": 0.2,
        "openings": {"level": 1, "vad": 1, "probe": 0},
    }


def test_each_refusal_is_counted_by_its_reason():
    """Refusals are counted by reason; the last ten near misses are kept, with confidence and threshold."""
    health = Health()
    for number in range(25):
        health.on_refusal(refusal(time=1000.0 + number))
    health.on_refusal(refusal("unknown", confidence=0.1))
    report = health.report()
    assert report["windows"]["refused"] == {
        "below_threshold": 25,
        "unknown": 1,
        "cooling_down": 0,
        "maximum_duration": 0,
        "taught_not": 0,
        "quiet_hours": 0,
        "switched_off": 0,
    }
    assert [each["time"][17:] for each in report["near_misses"]] == [
        f"{55 + number:02}.000Z" for number in range(5)
    ] + [f"{number:02}.000Z" for number in range(5)]
    assert report["near_misses"][-1] == {
        "time": "1970-01-01T00:17:04.000Z",
        "label": "siren",
        "confidence": 0.4,
        "threshold": 0.6,
        "reason": "below_threshold",
    }


def test_inference_is_timed():
    """Windows are counted and timed; before the first window the inference time is null."""
    health = Health()
    assert health.report()["inference_ms"] is None
    classify = InferenceTimer(lambda log_mel: log_mel.sum(axis=1), health.record_inference)
    for _ in range(3):
        np.testing.assert_array_equal(classify(np.ones((2, 3), np.float32)), [3, 3])
    report = health.report()
    assert report["windows"]["classified"] == 3
    assert 0 <= report["inference_ms"] <= report["inference_max_ms"]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("below_threshold", "siren 0.40: below its threshold of 0.60"),
        ("unknown", "none of its labels"),
        ("cooling_down", "cooling down"),
        ("maximum_duration", "maximum_seconds"),
        ("quiet_hours", "events.quiet_hours"),
        ("switched_off", "its switch is off"),
    ],
)
def test_the_trace_has_the_reason_of_a_refusal(caplog, reason, text):
    """Each refusal is one line of the trace, with its reason."""
    caplog.set_level(logging.DEBUG, TRACE.name)
    Health().on_refusal(refusal(reason))
    (record,) = caplog.records
    assert text in record.getMessage()


def test_the_trace_names_an_unknown_sound(caplog):
    """A refusal of an unknown sound has the AudioSet classes that it resembles most."""
    caplog.set_level(logging.DEBUG, TRACE.name)
    classes = (("Typewriter", 0.884), ("Typing", 0.31))
    Health().on_refusal(dataclasses.replace(refusal("unknown"), audioset=classes))
    assert caplog.records[0].getMessage().endswith("none of its labels; AudioSet: Typewriter 0.88, Typing 0.31")


def test_the_trace_has_one_line_for_each_state_of_the_gate(caplog):
    """The line follows when the state ends, with its duration: an hour with a shut gate is one line."""
    caplog.set_level(logging.DEBUG, TRACE.name)
    health = Health()
    for gate in [None] * 1000 + ["probe"] * 100 + [None]:
        health.on_block(0.03, gate)
    assert [record.getMessage() for record in caplog.records] == [
        "gate: was shut for 30.0 s",
        "gate: was open (probe) for 3.0 s",
    ]


def test_counters_can_be_read_while_they_change():
    """A report from another thread is consistent while counters change."""
    health, stop = Health(), threading.Event()

    def change():
        number = 0
        while not stop.is_set():
            number += 1
            health.on_refusal(refusal(time=float(number)))
            health.on_block(0.03, "level" if number % 2 else None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            times = [each["time"] for each in health.report()["near_misses"]]
            assert times == sorted(times)
    finally:
        stop.set()
        thread.join()


def test_a_diagnosis_is_stored_logged_and_reported_at_once(caplog):
    """A problem of the microphone is in the report, once in the log, and makes a report due before the minute ends."""
    health = Health()
    health.on_source_state("silent", "microphone 'x' delivers digital silence")
    assert health.report()["microphone"] == {"state": "silent", "message": "microphone 'x' delivers digital silence"}
    assert health.changed.is_set()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "silent: microphone 'x' delivers digital silence")
    ]


def test_reports_come_at_once_and_at_the_end():
    """The reporter's thread reports at the start and at each change; a last report follows at the end."""
    reported, changed = [], threading.Event()
    with HealthReporter(lambda: reported.append(threading.current_thread().name), changed):
        wait_until(lambda: len(reported) == 1, 10, "the first report")
        changed.set()
        wait_until(lambda: len(reported) == 2, 10, "the report of the change")
    assert reported[:2] == ["health", "health"]
    assert len(reported) == 3


def test_reports_are_periodic(monkeypatch):
    """Reports continue while nothing changes."""
    monkeypatch.setattr("device.monitoring.health_reporter._REPORT_SECONDS", 0.01)
    reported = []
    with HealthReporter(lambda: reported.append(None), threading.Event()):
        wait_until(lambda: len(reported) > 3, 10, "the fourth report")
