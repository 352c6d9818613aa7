"""Tests of the daemon's sound level: published minutes, stored minutes, fields of events."""

import json

import numpy as np
import pytest

from device.config.models import Config
from device.level.calibration import store_calibration
from device.level.table import LEVELS_FILE, LevelReader
from device.mqtt.messages import NO_LEVEL
from device.service.sound_level import SoundLevels
from device.types import Blocks, Event
from device.util.clock import Clock

RATE = 16000
START = 1_800_000_000.0
CLOCK = Clock(lambda: START, lambda: START, lambda: True)


def blocks(seconds):
    """Make blocks of a tone of 1 kHz at -23 dBFS, of which second 10 to 12 is 20 dB louder than the rest."""
    time = np.arange(seconds * RATE) / RATE
    amplitude = np.where((time >= 10) & (time < 12), 0.1, 0.01)
    samples = np.rint(32767 * amplitude * np.sin(2 * np.pi * 1000 * time)).astype(np.int16)
    return [Blocks(samples[at : at + 480], at, START + at / RATE) for at in range(0, len(samples), 480)]


def event(start, end):
    return Event("end", "7", "siren", 0.9, {"siren": 0.9}, START + start, START + end, -20.0, "level")


def run(state, seconds=90, **config):
    """Measure blocks; return the published states, and the fields of an event."""
    published = []
    items = blocks(seconds)
    with SoundLevels(Config(level=config, node_id="n"), RATE, state, CLOCK) as levels:
        measured = levels.measure(items, lambda name, payload: published.append((name, payload)))
        assert list(measured) == items
        fields = levels.of_event(event(10.0, 12.0))
    return published, fields


def test_each_minute_is_published_and_stored(tmp_path):
    """A minute and a half are two messages and two rows, in dBFS(A), with the same levels."""
    published, fields = run(tmp_path)
    assert [name for name, _ in published] == ["level", "level"]
    messages = [json.loads(payload) for _, payload in published]
    assert [message["start_time"] for message in messages] == ["2027-01-15T08:00:00.000Z", "2027-01-15T08:01:00.000Z"]
    assert [message["seconds"] for message in messages] == pytest.approx([60, 30], abs=0.02)
    assert not any(message["calibrated"] for message in messages)
    assert messages[1]["laeq_db"] == pytest.approx(-43.0, abs=0.1)
    with LevelReader(tmp_path / LEVELS_FILE) as reader:
        stored = reader.minutes(0, START + 3600)
    assert [each.laeq for each in stored] == pytest.approx([message["laeq_db"] for message in messages], abs=0.06)
    assert all(each.calibration_db is None and each.clock_synced for each in stored)
    assert set(fields) == set(NO_LEVEL)
    assert fields["laeq_db"] == pytest.approx(-23.0, abs=0.1)
    assert fields["rise_db"] == pytest.approx(20.0, abs=0.2)
    assert fields["level_calibrated"] is False


def test_calibrated_levels_are_decibels(tmp_path):
    """With a stored calibration, messages and events are in dB(A); rows keep the offset."""
    store_calibration(tmp_path, 117.0)
    published, fields = run(tmp_path)
    message = json.loads(published[1][1])
    assert (message["laeq_db"], message["calibrated"]) == (pytest.approx(74.0, abs=0.1), True)
    assert (fields["laeq_db"], fields["level_calibrated"]) == (pytest.approx(94.0, abs=0.1), True)
    with LevelReader(tmp_path / LEVELS_FILE) as reader:
        assert [each.calibration_db for each in reader.minutes(0, START + 3600)] == [117.0, 117.0]


def test_a_disabled_level_is_not_measured(tmp_path):
    """Without the level, nothing is published or stored, and events have no level; with 0 days, nothing is stored."""
    assert run(tmp_path, seconds=13, enabled=False) == ([], None)
    assert list(tmp_path.iterdir()) == []
    published, fields = run(tmp_path, seconds=13, days=0)
    assert len(published) == 1
    assert fields is not None
    assert list(tmp_path.iterdir()) == []
