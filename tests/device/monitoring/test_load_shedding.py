"""Tests of load shedding, on a simulated machine."""

import logging
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_bundle

from device.config.models import Config
from device.model.features import FeatureConfig
from device.monitoring.inference_timer import InferenceTimer
from device.monitoring.liveness import Liveness
from device.monitoring.load_shedding import LoadShedding, Stretch
from device.monitoring.source_monitor import SourceMonitor
from device.pipeline import Pipeline
from device.types import BLOCK_SECONDS, Blocks, Observer, SourceLost, WindowScores

FEATURES = FeatureConfig(window_seconds=3.0, mel_bands=16)
LENGTH = round(BLOCK_SECONDS * FEATURES.sample_rate)
QUEUE_SECONDS = 10.0


class Items(list):
    """Source of given items."""

    lost_samples = 0

    def __init__(self, *items):
        super().__init__(items)


class Machine:
    """Simulated machine: a microphone that records noise from 3 s on, a bounded queue, and a slow network.

    Only the inference time of a window and the processing time of a block move its clock.

    Args:
        limit: largest factor of load shedding.
        inference_seconds: inference time of a window, s.
        hot: returns whether the machine is hot at a time, s.
        block_seconds: returns the processing time of a block at a time, s.

    Attributes:
        time: its clock, s.
        lost: number of lost blocks.
        changes: number of changes of the reason.
        longest_wait: longest time from the start of a block to its processing, s.
    """

    def __init__(
        self,
        *,
        limit=4.0,
        inference_seconds=0.0,
        hot=lambda _time: False,
        block_seconds=lambda _time: 0.0,
    ):
        self.time = 0.0
        self.lost = 0
        self.changes = 0
        self.longest_wait = 0.0
        self._inference_seconds = inference_seconds
        self._block_seconds = block_seconds
        self._noise = np.random.default_rng(0).integers(-9000, 9000, LENGTH, np.int16)
        self.load = LoadShedding(
            limit=limit,
            hop_seconds=1.0,
            queue_seconds=QUEUE_SECONDS,
            is_hot=lambda: hot(self.time),
            on_change=self._changed,
            now=lambda: self.time,
            monotonic=lambda: self.time,
        )

    def _changed(self):
        self.changes += 1

    def microphone(self, seconds):
        """Yield blocks as they arrive; when the queue is full, the oldest blocks are lost."""
        queue, captured = deque(), 0
        while captured < seconds / BLOCK_SECONDS:
            while captured * BLOCK_SECONDS + BLOCK_SECONDS <= self.time:
                queue.append(captured)
                captured += 1
            while len(queue) > QUEUE_SECONDS / BLOCK_SECONDS:
                queue.popleft()
                self.lost += 1
            if not queue:
                self.time = (captured + 1) * BLOCK_SECONDS + 1e-9
                continue
            self.time += self._block_seconds(self.time)
            number = queue.popleft()
            block_time = number * BLOCK_SECONDS
            self.longest_wait = max(self.longest_wait, self.time - block_time)
            samples = self._noise if block_time > 3 else np.zeros(LENGTH, np.int16)
            yield Blocks(samples, number * LENGTH, block_time)

    def monitored(self, source):
        """Yield the blocks of a source, and report each to load shedding."""
        for item in source:
            self.load.record_sound(item.time + BLOCK_SECONDS)
            yield item

    def classify(self, _samples):
        """Return scores after the inference time."""
        self.time += self._inference_seconds
        return WindowScores(np.array([0.9, 0.0], np.float32), np.zeros((16, 4), np.float32))

    def run(self, seconds):
        """Run the pipeline over this time, s, and return the factor at each block."""
        bundle = make_bundle(FEATURES)
        config = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None}})
        factors = []

        class FactorRecorder(Observer):
            def on_block(_self, seconds, _gate):  # noqa: N805
                factors.extend([self.load.factor()] * round(seconds / BLOCK_SECONDS))

        timer = InferenceTimer(self.classify, self.load.record_inference, clock=lambda: self.time)
        pipeline = Pipeline(config, bundle, timer, FactorRecorder(), self.load.factor)
        self.events = list(pipeline.run(self.monitored(self.microphone(seconds))))
        return factors


def test_a_fast_machine_is_never_stretched():
    """With an inference time of a tenth of the hop, the factor stays 1 and no block waits."""
    machine = Machine(inference_seconds=0.1)
    assert set(machine.run(60)) == {1.0}
    assert (machine.lost, machine.changes, machine.load.stretch) == (0, 0, Stretch())


def test_windows_are_stretched_before_audio_is_lost():
    """A network twice as slow as the hop loses seconds of audio without stretch, and none with it."""
    unstretched = Machine(limit=1.0, inference_seconds=2.0)
    unstretched.run(120)
    assert unstretched.lost * BLOCK_SECONDS > 3
    machine = Machine(inference_seconds=2.0)
    factors = machine.run(120)
    assert machine.lost == 0
    assert machine.longest_wait < QUEUE_SECONDS
    assert factors[-1] == pytest.approx(2.0 / 0.7, abs=0.1)
    assert machine.load.stretch.reason == "slow"
    assert [event.type for event in machine.events] == ["start", "end"], "a stretched sound must stay one event"


def test_a_busy_processor_stretches_windows(caplog):
    """While another program takes the processor, blocks wait: its start and its end are logged once each."""
    caplog.set_level(logging.INFO)
    machine = Machine(block_seconds=lambda time: 0.06 if 20 < time < 36 else 0.0)
    factors = machine.run(120)
    assert 1.5 < max(factors) <= 4.0
    assert machine.lost == 0
    assert (factors[-1], machine.load.stretch.reason, machine.changes) == (1.0, "none", 2)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == ["audio waits for classification", "keeps up again"]


def test_heat_doubles_the_factor_at_once_and_cooling_lowers_it_slowly():
    """After the heat the factor falls by 1 in a minute, so it does not oscillate."""
    machine = Machine(hot=lambda time: 10 < time < 20)
    factors = machine.run(100)
    at = [factors[round(second / BLOCK_SECONDS)] for second in (5, 15, 30, 60, 90)]
    assert at[:2] == [1.0, 2.0]
    assert at[2:] == pytest.approx([1.83, 1.33, 1.0], abs=0.05)
    assert (machine.lost, machine.changes) == (0, 2)


def test_a_constant_delay_is_not_behind():
    """A recording that plays ten seconds after its clock started is not behind; ten additional seconds are."""
    machine = Machine()
    for number in range(300):
        machine.time += BLOCK_SECONDS
        delay = 10.0 if number < 100 else 20.0
        machine.load.record_sound(machine.time - delay)
        assert number >= 100 or machine.load.stretch == Stretch()
    assert machine.load.stretch.reason == "behind"


def test_a_break_of_the_source_is_not_a_block():
    """Load shedding receives blocks only; a `SourceLost` passes through the source monitor."""
    machine = Machine()
    monitor = SourceMonitor(
        Items(SourceLost(0)),
        FEATURES.sample_rate,
        liveness=Liveness(),
        load_shedding=machine.load,
        is_listening=lambda: True,
        on_first_item=lambda: None,
    )
    assert list(monitor) == [SourceLost(0)]


@given(
    waits=st.lists(st.floats(-5, 30), min_size=1, max_size=40),
    heat=st.lists(st.booleans(), min_size=1),
    windows=st.lists(st.floats(0, 10), min_size=1, max_size=8),
    limit=st.floats(1, 20),
)
def test_the_factor_stays_within_its_limits(waits, heat, windows, limit):
    """For any waits, heat and inference times the factor is 1 to the limit, at least 2 in heat, and falls slowly."""
    time, is_hot_now = 0.0, False

    def classify(seconds):
        nonlocal time
        time += seconds

    load = LoadShedding(
        limit=limit,
        hop_seconds=1.0,
        queue_seconds=QUEUE_SECONDS,
        is_hot=lambda: is_hot_now,
        now=lambda: time,
        monotonic=lambda: time,
    )
    timed = InferenceTimer(classify, load.record_inference, clock=lambda: time)
    for number, wait in enumerate(waits):
        is_hot_now, time, before, decided_at = heat[number % len(heat)], time + 2.5, load.factor(), time
        timed(windows[number % len(windows)])
        load.record_sound(time - wait)
        assert 1.0 <= load.factor() <= limit
        assert load.factor() >= before - (time - decided_at) / 60.0 - 1e-9
        assert not is_hot_now or load.factor() >= min(2.0, limit)
        assert (load.factor() == 1.0) == (load.stretch.reason == "none")
