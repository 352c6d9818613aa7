"""Tests of live values: when they are published, and what they contain."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from fake_bundle import score_log_mel
from jsonschema import Draft202012Validator
from support import make_bundle
from tones import FEATURES, RATE, blocks_of, low_or_high, tone

from device.config.models import Config
from device.level.calibration import store_calibration
from device.pipeline import Pipeline
from device.service.live_values import LiveValues
from device.service.observers import Observers
from device.service.sound_level import SoundLevels
from device.util.clock import Clock

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "schemas" / "live.schema.json"
TONE_DBFS = -23.0


class Run:
    """Run over sound whose clock is that of its blocks.

    Attributes:
        live: the live values.
        messages: the published messages.
    """

    def __init__(self, state, samples, **config):
        config = {"gate": {"vad_mode": None, "probe_seconds": None}, "node_id": "n", **config}
        self.config, self._time, self._samples = Config.model_validate(config), 1000.0, samples
        clock = Clock(lambda: self._time, lambda: self._time, lambda: True)
        observers = Observers()
        self.levels = SoundLevels(self.config, RATE, state, clock)
        classify = score_log_mel(FEATURES, low_or_high)
        self.pipeline = Pipeline(self.config, make_bundle(FEATURES), classify, observers)
        self.messages = []
        self.live = LiveValues(
            "n", self.pipeline, self.levels, lambda payload: self.messages.append(json.loads(payload)), clock
        )
        observers.add(self.live)

    def __call__(self, *steps):
        """Run; call each function when its second of the sound begins."""
        due = sorted(steps, key=lambda step: step[0])
        with self.levels:
            for _ in self.pipeline.run(self.levels.measure(self._blocks(due), lambda *_: None)):
                pass
        return self.messages

    def _blocks(self, due):
        for block in blocks_of(self._samples):
            self._time = block.time
            while due and block.time - 1000 >= due[0][0]:
                due.pop(0)[1]()
            yield block


def street(seconds=16):
    """Return noise with a low tone of -23 dBFS from second 5 to 8."""
    samples = np.random.default_rng(0).normal(0, 30, seconds * RATE)
    samples[5 * RATE : 8 * RATE] += tone(300, 3, 32768 * 10 ** (TONE_DBFS / 20) * np.sqrt(2))
    return samples.astype(np.int16)


def seconds_of(messages):
    """Return the times of messages, seconds of the sound."""
    return [datetime.fromisoformat(message["time"]).timestamp() - 1000 for message in messages]


def test_nothing_is_published_unless_it_is_asked_for(tmp_path):
    """Messages come from the request to its end, at most two a second, and none before or after."""
    run = Run(tmp_path, street())
    times = seconds_of(run((2, lambda: run.live.watch(4))))
    assert 5 <= len(times) <= 8
    assert all(2 <= time < 6 for time in times)
    assert np.diff(times).min() >= 0.5
    assert Run(tmp_path, street())() == []


def test_a_request_prolongs_another_and_zero_ends_both(tmp_path):
    """The later end of two requests holds; 0 ends them at once."""
    run = Run(tmp_path, street())
    ask = run.live.watch
    times = seconds_of(run((1, lambda: ask(9)), (2, lambda: ask(1)), (8, lambda: ask(0)), (12, lambda: ask(1))))
    assert max(time for time in times if time < 11) == pytest.approx(7.7, abs=0.35)
    assert min(time for time in times if time > 8.3) == pytest.approx(12, abs=0.35)


def test_the_values_are_those_of_the_sound(tmp_path):
    """Level, noise floor, gate and nearest labels follow a tone; before it, nothing was classified."""
    run = Run(tmp_path, street())
    messages = run((0, lambda: run.live.watch(60)))
    for message in messages:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(message)
    at = dict(zip(seconds_of(messages), messages, strict=True))
    quiet, during, after = (next(at[time] for time in at if time > second) for second in (4, 7.3, 14))
    assert (quiet["window"], quiet["gate"]["open"], quiet["gate"]["reason"]) == (None, False, None)
    assert quiet["level_db"] == pytest.approx(-62, abs=2)
    assert quiet["noise_floor_db"] == pytest.approx(quiet["level_db"], abs=1.5)
    assert during["gate"]["reason"] == "level"
    assert datetime.fromisoformat(during["gate"]["since"]).timestamp() - 1000 == pytest.approx(5.2, abs=0.3)
    assert during["level_db"] == pytest.approx(TONE_DBFS - 7.1, abs=0.3)  # A weighting of 300 Hz
    assert during["noise_floor_db"] == pytest.approx(quiet["noise_floor_db"], abs=0.5)
    assert after["gate"]["open"] is False
    assert datetime.fromisoformat(after["gate"]["since"]).timestamp() - 1000 > 8
    first, second = after["window"]["nearest"]
    assert (first["label"], first["threshold"], second["label"]) == ("low", 0.5, "high")
    assert first["confidence"] > 0.5 > second["confidence"]
    assert 3 < after["window"]["age_seconds"] < 8


@pytest.mark.parametrize("calibration", [None, 117.0])
def test_without_the_meter_the_gate_has_the_level(tmp_path, calibration):
    """With `level.enabled: false`, the level is that of the meter within 1.5 dB, in the same unit."""
    if calibration is not None:
        store_calibration(tmp_path, calibration)
    levels = []
    for enabled in (True, False):
        run = Run(tmp_path, street(), level={"enabled": enabled, "days": 0})
        messages = run((6.5, lambda run=run: run.live.watch(1)), (3, lambda run=run: run.live.watch(1)))
        assert {message["calibrated"] for message in messages} == {calibration is not None}
        levels.append([message["level_db"] for message in messages if seconds_of([message])[0] > 3.3])
    quiet, loud = (np.array(levels)[:, index] for index in (0, -1))
    assert loud[0] == pytest.approx(TONE_DBFS - 7.1 + (calibration or 0), abs=0.3)
    assert np.ptp(quiet) < 1.5
    assert np.ptp(loud) < 3  # a tone has the mean weight of its octave


def test_a_label_that_is_switched_off_is_not_near(tmp_path):
    """A switch that is off takes its label from the nearest ones."""
    run = Run(tmp_path, street())
    settings = run.pipeline.tracker.settings
    settings.change("low", replace(settings.by_slug()["low"], enabled=False))
    last = run((10, lambda: run.live.watch(60)))[-1]
    assert [each["label"] for each in last["window"]["nearest"]] == ["high"]
