"""Tests of blocks that are processed at once: those of a read while something sounds, and more of them in quiet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_bundle

import device.pipeline
from device.config.models import Config, GateConfig
from device.detection.gate import SoundGate
from device.model.features import FeatureConfig
from device.pipeline import Pipeline
from device.types import BLOCK_SECONDS, Blocks, Observer, SourceLost, WindowScores

FEATURES = FeatureConfig()
RATE = FEATURES.sample_rate
LENGTH = round(BLOCK_SECONDS * RATE)


class Recorder(Observer):
    """Observer that keeps windows, and the seconds in which the gate was open and shut."""

    def __init__(self):
        self.windows, self.seconds = [], {}

    def on_block(self, seconds, gate):
        self.seconds[gate] = self.seconds.get(gate, 0.0) + seconds

    def on_window(self, window):
        self.windows.append((window.start, window.span_start, window.rise_db, window.samples.tobytes()))


def items_of(parts, read_blocks=1):
    """Make the items of a source: for each part its blocks of noise with a level, then a gap, a break or nothing.

    Every `read_blocks` blocks arrive together, in one read.
    """
    generator, items, position = np.random.default_rng(1), [], 0
    for level, blocks, lost in parts:
        sound = generator.normal(0, level, blocks * LENGTH).clip(-32768, 32767).astype(np.int16)
        for start in range(0, len(sound), read_blocks * LENGTH):
            samples = sound[start : start + read_blocks * LENGTH]
            items.append(Blocks(samples, position, 1000 + position / RATE))
            position += len(samples)
        if lost is None:
            items.append(SourceLost(position))
        else:
            position += lost
    return items


def run(items, quiet_blocks, monkeypatch):
    """Return events, windows and seconds of a pipeline that waits for so many quiet blocks."""
    monkeypatch.setattr(device.pipeline, "_QUIET_BLOCKS", quiet_blocks)
    recorder, scores = Recorder(), np.array([0.9, 0.0], np.float32)
    config = Config.model_validate({"gate": {"probe_seconds": 5}})
    classify = lambda samples: WindowScores(  # noqa: E731
        scores if np.abs(samples).max() > 3000 else scores / 3, np.zeros((16, 4), np.float32)
    )
    pipeline = Pipeline(config, make_bundle(FEATURES), classify, recorder)
    events = [
        (e.type, e.label, round(e.start_time * RATE), e.end_time and round(e.end_time * RATE), e.gate, e.level_dbfs)
        for e in pipeline.run(iter(items))
    ]
    return events, recorder


PARTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 2.0, 3.0, 8.0, 30.0, 2000.0]),
        st.integers(1, 70),
        st.sampled_from([0, 0, 0, 1, LENGTH, 20 * LENGTH, 90 * LENGTH, None]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25)
@given(parts=PARTS, read_blocks=st.sampled_from([1, 4, 8, 11, 200]))
def test_blocks_together_give_what_they_give_one_by_one(parts, read_blocks):
    """Windows, their starts and samples, events and open seconds are equal, with gaps, breaks and reads anywhere."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        events, together = run(items_of(parts, read_blocks), 6, monkeypatch)
        expected, single = run(items_of(parts), 1, monkeypatch)
    assert events == expected
    assert together.windows == single.windows
    assert together.seconds.keys() == single.seconds.keys()
    for gate, seconds in single.seconds.items():
        assert together.seconds[gate] == pytest.approx(seconds)


@settings(max_examples=25)
@given(loud=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 60)), min_size=1, max_size=4))
def test_no_window_is_complete_within_an_announced_pause(loud):
    """While the gate is open or a window is to come, none is complete before the pause that the pipeline announced."""
    parts = [part for blocks, quiet in loud for part in ((2000.0, blocks, 0), (2.0, quiet, 0))]
    end, due, pauses = 0, 0, []

    class Pauses(Observer):
        def on_block(self, seconds, _gate):
            nonlocal end
            end += round(seconds * RATE)

        def on_pause(self, seconds):
            nonlocal due
            pauses.append(seconds)
            due = end + round(seconds * RATE) if seconds < 10 else 0  # nothing sounds in longer ones

        def on_window(self, _window):
            assert end >= due

        on_look = on_window

    scored = WindowScores(np.array([0.9, 0.0], np.float32), np.zeros((16, 4), np.float32))
    items = items_of([(2.0, 100, 0), *parts, (2.0, 300, 0)])
    list(Pipeline(Config(), make_bundle(FEATURES), lambda _: scored, Pauses()).run(iter(items)))
    assert any(0.24 < seconds < 10 for seconds in pauses)


@settings(max_examples=25)
@given(parts=PARTS, together=st.integers(1, 30))
def test_the_gate_opens_at_the_same_block(parts, together):
    """Spans and rises are those of single blocks, bit by bit, for any number of blocks at once."""
    blocks = np.stack([item.samples for item in items_of(parts) if isinstance(item, Blocks)])
    config = GateConfig(probe_seconds=5)
    one = SoundGate(config, RATE)
    expected = [(one.update(block, number * LENGTH), one.rise_db) for number, block in enumerate(blocks)]
    gate, results = SoundGate(config, RATE), []
    while (done := len(results)) < len(blocks):
        rest, position = blocks[done : done + together], done * LENGTH
        count, span = gate.update_while_shut(rest, position) if gate.is_shut else (1, gate.update(rest[0], position))
        results += [(None, expected[number][1]) for number in range(done, done + count - 1)] + [(span, gate.rise_db)]
    assert results == expected


def test_a_sound_is_detected_within_a_third_of_a_second():
    """The window of a bang is due as soon as its samples are there: at most eight blocks later than block by block."""
    delivered = []

    def source():
        for item in items_of([(3.0, 110, 0), (3000.0, 30, 0), (3.0, 200, 0)]):
            delivered.append(item)
            yield item

    class Delays(Observer):
        def on_window(self, window):
            delays.append(len(delivered) * LENGTH - (window.start + len(window.samples)))

    delays = []
    pipeline = Pipeline(
        Config.model_validate({"gate": {"probe_seconds": None}}),
        make_bundle(FEATURES),
        lambda _: WindowScores(np.array([0.1, 0.0], np.float32), np.zeros((16, 4), np.float32)),
        Delays(),
    )
    list(pipeline.run(source()))
    assert delays
    assert max(delays) < 0.3 * RATE


def test_the_blocks_of_a_quiet_read_wait_for_nothing():
    """At the end of each read of 0.24 s, its blocks are processed; those of shorter reads wait for 0.24 s at most."""
    for read_blocks, most_waiting in ((8, 0), (7, 0), (4, 4), (1, 5)):
        delivered, processed, waiting = 0, 0, []

        def source(read_blocks=read_blocks):
            nonlocal delivered
            for item in items_of([(3.0, 20 * read_blocks, 0)], read_blocks):
                waiting.append(delivered - processed)  # noqa: B023 - read at once
                delivered += read_blocks
                yield item

        class Count(Observer):
            def on_block(self, seconds, _gate):
                nonlocal processed
                processed += round(seconds / BLOCK_SECONDS)

        config = Config.model_validate({"gate": {"probe_seconds": None}})
        list(Pipeline(config, make_bundle(FEATURES), lambda _: None, Count()).run(source()))
        assert max(waiting) == most_waiting
        assert processed == 20 * read_blocks


def test_a_read_that_is_longer_than_the_ring_buffer_changes_nothing(monkeypatch):
    """A burst of 12 s at once, as from a stream's server, gives the windows of its blocks one by one."""
    parts = [(3.0, 400, 0), (3000.0, 30, 0), (3.0, 200, 0)]
    events, together = run(items_of(parts, 400), 6, monkeypatch)
    expected, single = run(items_of(parts), 1, monkeypatch)
    assert events == expected
    assert events
    assert together.windows == single.windows
