import logging
import threading

import numpy as np
import pytest

from device.health import TRACE, Health
from device.types import Refusal


def refusal(reason="below_threshold", confidence=0.4, threshold=0.6, time=1000.0):
    return Refusal(reason, "siren", confidence, threshold, time)


def test_the_gate_s_time_is_counted():
    """Seconds listened, seconds open, and how often each reason opened the gate."""
    health = Health()
    for gate in [None] * 10 + ["level"] * 5 + [None] * 3 + ["vad"] * 2:
        health.listened(0.03, gate)
    assert health.counters()["gate"] == {
        "listened_seconds": 0.6,
        "open_seconds": 0.2,
        "openings": {"level": 1, "vad": 1},
    }


def test_each_refusal_is_counted_by_its_reason():
    """Counts go by reason; what came near is kept with what it lacked, and only the last ten."""
    health = Health()
    for number in range(25):
        health.refused(refusal(time=1000.0 + number))
    health.refused(refusal("unknown", confidence=0.1))
    counters = health.counters()
    assert counters["windows"]["refused"] == {"below_threshold": 25, "unknown": 1}
    assert [each["time"] for each in counters["near_misses"]] == [1015.0 + number for number in range(10)]
    assert counters["near_misses"][-1] == {
        "time": 1024.0,
        "label": "siren",
        "confidence": 0.4,
        "threshold": 0.6,
        "reason": "below_threshold",
    }


def test_inference_is_timed():
    """Windows are counted and their latency told; before the first there is none to tell."""
    health = Health()
    assert health.counters()["windows"]["inference_ms"] is None
    classify = health.timed(lambda log_mel: log_mel.sum(axis=1))
    for _ in range(3):
        np.testing.assert_array_equal(classify(np.ones((2, 3), np.float32)), [3, 3])
    windows = health.counters()["windows"]
    assert windows["classified"] == 3
    assert 0 <= windows["inference_ms"]["median"] <= windows["inference_ms"]["maximum"]


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("below_threshold", "siren 0.40: below its threshold of 0.60"),
        ("unknown", "none of its labels"),
        ("cooling_down", "cooling down"),
        ("maximum_duration", "maximum_seconds"),
    ],
)
def test_the_trace_says_why_not(caplog, reason, says):
    """One line for each thing turned away, with the reason."""
    caplog.set_level(logging.DEBUG, TRACE.name)
    Health().refused(refusal(reason))
    (record,) = caplog.records
    assert says in record.getMessage()


def test_the_trace_sums_up_the_gate(caplog):
    """A gate that is shut for an hour is one line, said when it opens."""
    caplog.set_level(logging.DEBUG, TRACE.name)
    health = Health()
    for gate in [None] * 1000 + ["probe"] * 100 + [None]:
        health.listened(0.03, gate)
    assert [record.getMessage() for record in caplog.records] == [
        "gate: was shut for 30.0 s",
        "gate: was open (probe) for 3.0 s",
    ]


def test_counters_can_be_read_while_they_change():
    """A report taken from another thread never meets a half-made change."""
    health, stop = Health(), threading.Event()

    def change():
        number = 0
        while not stop.is_set():
            number += 1
            health.refused(refusal(time=float(number)))
            health.listened(0.03, "level" if number % 2 else None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            counters = health.counters()
            times = [each["time"] for each in counters["near_misses"]]
            assert times == sorted(times)
    finally:
        stop.set()
        thread.join()
