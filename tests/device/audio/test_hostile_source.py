"""Properties of live sound from a hostile source: times, losses and diagnosis."""

from itertools import groupby, pairwise

import numpy as np
import pytest
from hostile_source import RATE, READ, Ear, HostileSource
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk
from device.audio.signal_diagnosis import SignalDiagnosis
from device.types import BLOCK_SECONDS
from device.util.samples import mean_of_channels

NOISE = np.random.default_rng(0).integers(-500, 500, (4 * RATE, 1)).astype(np.int16)
SETTLING_SECONDS = 4.5
"""Time after which a loss without a report is recognized, s."""


def steps():
    """Return a strategy of what a source does in turn: name and argument."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("play"), st.floats(0.2, 4.0)),
            st.tuples(st.just("burst"), st.floats(0.2, 2.0)),
            st.tuples(st.just("jitter"), st.floats(0.0, 0.3)),
            st.tuples(st.just("lose"), st.floats(0.3, 8.0)),
            st.tuples(st.just("overflow"), st.floats(0.3, 8.0)),
            st.tuples(st.just("speed"), st.floats(0.97, 1.03)),
            st.tuples(st.sampled_from(["repeat", "empty"]), st.just(0.0)),
        ),
        max_size=25,
    )


def carry_out(actions):
    """Return a source that has done these things, each between stretches of plain sound."""
    source = HostileSource()
    source.play(NOISE)
    for name, value in actions:
        sound = NOISE[: round(value * RATE) // READ * READ]
        match name:
            case "play":
                source.play(sound)
            case "burst":
                source.burst(sound)
                source.play(NOISE[:READ])
            case "jitter":
                source.play(NOISE, [0.0, value, value / 2, value])
            case "lose":
                source.lose(value, reported=False)
                source.play(NOISE)
                source.play(NOISE)
            case "overflow":
                source.lose(value, reported=True)
                source.play(NOISE)
            case "speed":
                source.speed = value
            case "repeat":
                source.repeat()
            case "empty":
                source.deliver_nothing()
        source.play(NOISE[: 4 * READ])
    return source


def true_times(source, blocks):
    """Return the true time of each block's first sample: blocks are cut from the delivered samples in order.

    The end of the sound completes the last block with zeros.
    """
    heard, samples = np.concatenate(source.heard_at), np.concatenate([chunk_samples(c) for c in source.chunks])
    samples = np.append(samples, np.zeros_like(blocks[-1].samples))
    times, at = [], 0
    for block in blocks:
        while not np.array_equal(samples[at : at + len(block.samples)], block.samples):
            at += 1  # samples before a loss that filled no block
            assert at < len(heard), f"the block at {block.position} was never delivered"
        times.append(heard[at])
        at += len(block.samples)
    return times


def chunk_samples(chunk):
    return np.frombuffer(chunk.data, "<i2")


@settings(deadline=None, max_examples=12)
@given(steps())
def test_times_grow_and_stay_near_the_truth(actions):
    """Block times only grow, and are within half a second of the truth once an unreported loss was recognized."""
    source = carry_out(actions)
    ear = Ear(source)
    times = [block.time for block in ear.blocks]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(earlier.end <= later.position for earlier, later in pairwise(ear.blocks))
    for time, truth in zip(times, true_times(source, ear.blocks), strict=True):
        if not any(0 <= truth - loss < SETTLING_SECONDS for loss in source.losses):
            assert time == pytest.approx(truth, abs=0.5)


@settings(deadline=None, max_examples=12)
@given(steps())
def test_lost_sound_is_counted(actions):
    """Lost sound is counted, with a report of the driver or without; nothing else is."""
    actions = [(name, value) for name, value in actions if name not in ("speed", "repeat")]
    source = carry_out(actions)
    losses = sum(name in ("lose", "overflow") for name, _ in actions)
    assert Ear(source).lost_samples / RATE == pytest.approx(source.lost_seconds, abs=0.05 + 0.35 * losses)


def test_an_overflow_leaves_a_gap_of_its_length():
    """The positions jump by the lost sound where the driver reports it, so windows do not bridge it."""
    source = HostileSource()
    source.play(NOISE)
    source.lose(2.5, reported=True)
    source.play(NOISE)
    ear = Ear(source)
    (gap,) = [later.position - earlier.end for earlier, later in pairwise(ear.blocks) if later.position != earlier.end]
    assert gap / RATE == pytest.approx(2.5, abs=0.05)
    assert ear.lost_samples == gap


def test_the_last_block_of_a_stream_is_not_earlier_than_the_one_before():
    """The block that is completed by the end of the sound has a time that grows, after a late start as well."""
    source = HostileSource()
    source.play(NOISE[: 2 * RATE + 100], [2.0, *[0.0] * 20])
    ear = Ear(source)
    assert len(ear.blocks[-1].samples) == 480
    assert ear.blocks[-1].end > 2 * RATE + 100
    assert ear.blocks[-1].time > ear.blocks[-2].time


def test_a_fast_clock_is_followed():
    """A sound card whose clock is fast by one in a thousand does not move the times: it would be 86 s a day."""
    source = HostileSource(speed=1.001)
    for _ in range(150):
        source.play(NOISE)
    ear = Ear(source)
    assert ear.blocks[-1].time == pytest.approx(source._now, abs=0.5)
    assert ear.lost_samples == 0


LSB = (np.arange(4 * RATE) % 7 == 0).astype(np.int16)[:, np.newaxis]
SIGNALS = {
    "muted": (np.zeros((4 * RATE, 1), np.int16), "silent"),
    "least significant bit": (LSB, "silent"),
    "least significant bit, with an offset": (LSB + np.int16(300), "silent"),
    "below any room": (np.random.default_rng(1).integers(-2, 3, (4 * RATE, 1)).astype(np.int16), "silent"),
    "constant": (np.full((4 * RATE, 1), 300, np.int16), "dc"),
    "quiet room": (np.random.default_rng(1).normal(0, 4, (4 * RATE, 1)).astype(np.int16), "ok"),
    "offset": (NOISE + np.int16(9000), "ok"),
    "one channel": (np.hstack([NOISE, np.zeros_like(NOISE)]), "ok"),
    "opposite channels": (np.hstack([NOISE, -NOISE]), "silent"),
    "clipping": (np.clip(NOISE.astype(int) * 100, -32768, 32767).astype(np.int16), "clipping"),
}


@pytest.mark.parametrize(("signal", "state"), SIGNALS.values(), ids=SIGNALS)
def test_the_diagnosis_is_right_within_a_minute(signal, state):
    """Each kind of signal has its state after a minute, in bursts as well, and no other state in between."""
    source = HostileSource(channels=signal.shape[1])
    for number in range(18):
        source.burst(signal[: 2 * RATE]) if number % 3 else source.play(signal)
        source.play(signal[2 * RATE :])
    source.play(signal)
    ear = Ear(source)
    assert ear.states[-1][0] > 65
    assert {found for time, found in ear.states if time > 65} == {state}
    assert {found for _, found in ear.states} <= {"ok", state}


@settings(deadline=None, max_examples=4)
@given(st.lists(st.floats(0.2, 40.0), min_size=2, max_size=5))
def test_a_noise_gate_makes_no_state_alternate(pauses):
    """Silence between sounds, shorter than a minute, is no fault; a silent microphone is so until a minute of sound."""
    diagnosis, states, now = SignalDiagnosis(RATE), ["ok"], 0.0

    def feed(samples):
        nonlocal now
        for start in range(0, len(samples), RATE):
            now += len(samples[start : start + RATE]) / RATE
            part = samples[start : start + RATE]
            diagnosis.feed(part, mean_of_channels(part), now)
            states.append(diagnosis.state)

    for after in (["ok"], ["ok", "silent"]):
        for pause in pauses:
            feed(NOISE[: 3 * READ])
            feed(np.zeros((round(pause * RATE), 1), np.int16))
        assert [state for state, _ in groupby(states)] == after
        feed(np.zeros((70 * RATE, 1), np.int16))
    for _ in range(17):
        feed(NOISE)
    assert [state for state, _ in groupby(states)] == ["ok", "silent", "ok"]


def test_the_blocks_of_a_read_stay_together():
    """A chunk gives all blocks that it completes at once; the last part of a block is padded at the end."""
    stream, length = BlockStream(RATE, 1, RATE, 0), round(BLOCK_SECONDS * RATE)
    sizes = (4 * length + 7, length - 8, 1, 5 * length - 1, 3)
    whole = np.arange(sum(sizes), dtype=np.int16)
    parts, offset = [], 0
    for size in sizes:
        data = whole[offset : offset + size].tobytes()
        parts.append(stream.feed(Chunk(data, 2 * offset, 1.0, 1.0)))
        offset += size
    parts.append(stream.flush())
    assert [part and len(part.samples) // length for part in parts] == [4, None, 1, 4, 1, 1]
    blocks = [part for part in parts if part]
    assert [block.position for block in blocks] == [0, 4 * length, 5 * length, 9 * length, 10 * length]
    assert np.concatenate([block.samples for block in blocks])[: len(whole)].tolist() == whole.tolist()
