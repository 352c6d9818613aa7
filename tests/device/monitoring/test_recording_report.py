"""Tests of the report of a recording without events."""

import numpy as np

from device.monitoring.recording_report import RecordingReport
from device.types import ClassifiedWindow, Event, Refusal

NONE = np.zeros(1, np.float32)


def window(span_start):
    return ClassifiedWindow(0, 0.0, np.zeros(1, np.int16), NONE, NONE, span_start)


def test_the_nearest_label_is_reported():
    """The report names the label nearest to its threshold, with its place, gate and reason, and counts the sounds."""
    report = RecordingReport()
    for span_start, label, confidence in ((0, "siren", 0.2), (0, "dog_bark", 0.55), (99, "siren", 0.3)):
        report.on_block(4.0, "level")
        report.on_window(window(span_start))
        report.on_refusal(Refusal("below_threshold", label, confidence, 0.6, 0.0))
    text = report.text()
    assert "3 windows of 2 sounds" in text
    assert "at 8.0 s, gate level: dog_bark 0.55: below its threshold of 0.60" in text


def test_a_shut_gate_and_a_switch_are_reported():
    """Without any window, the report names the gate; without any block, the switch."""
    report = RecordingReport()
    assert "switched off" in report.text()
    report.on_block(3.0, None)
    assert "the gate opened for no sound in 3.0 s" in report.text()


def test_a_recording_with_an_event_needs_no_report():
    """After an event there is nothing to explain."""
    report = RecordingReport()
    report.on_event(Event("start", "1", "siren", 0.9, {}, 0.0, None, -20.0, "level"))
    assert report.text() is None
