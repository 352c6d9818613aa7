import os
import threading

import numpy as np
import pytest
from hostile_source import in_chunks, piped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_blocks import one_by_one

from device.audio.stdin_source import StdinSource
from device.errors import InputError, UnavailableError
from device.types import SourceLost
from device.util.supervised_thread import THREADS

RATE = 16000
NOISE = np.random.default_rng(0).integers(-3000, 3000, 2 * RATE).astype("<i2")


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=4).filter(lambda lengths: max(lengths) > 50))
def test_the_chunks_of_a_pipe_do_not_matter(monkeypatch, lengths):
    """Each sample arrives at its position for any chunks, even with split samples; the last block is padded."""
    with piped(monkeypatch, in_chunks(NOISE[:-100].tobytes(), lengths)) as source:
        blocks = list(one_by_one(source))
    assert [block.position for block in blocks] == list(range(0, len(NOISE), 480))
    received = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(received[: len(NOISE) - 100], NOISE[:-100])
    assert not received[len(NOISE) - 100 :].any()
    assert source.lost_samples == 0
    assert blocks[-1].time - blocks[0].time == pytest.approx(blocks[-1].position / RATE)


def test_another_rate_is_resampled(monkeypatch):
    """A tone of 1 kHz at a sample rate of 44.1 kHz keeps its frequency and duration."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100) * 8000).astype("<i2")
    with piped(monkeypatch, in_chunks(tone.tobytes(), [777]), rate=44100) as source:
        received = np.concatenate([block.samples for block in source])
    assert len(received) == pytest.approx(RATE, abs=480)
    assert np.argmax(np.abs(np.fft.rfft(received[:8000].astype(float)))) * 2 == 1000


def test_half_a_sample_at_the_end_is_dropped(monkeypatch):
    """An input that ends in the middle of a sample loses only this sample."""
    with piped(monkeypatch, in_chunks(NOISE[:480].tobytes() + b"x", [4096])) as source:
        (block,) = source
    np.testing.assert_array_equal(block.samples, NOISE[:480])


def test_an_input_without_sound_is_an_error(monkeypatch):
    """An input that ends without any sound is one clear error."""
    source = piped(monkeypatch, lambda _pipe: None)
    with source as empty, pytest.raises(UnavailableError, match="ended before any sound"):
        list(empty)


def test_a_closed_standard_input_is_an_error(monkeypatch):
    """A closed standard input, as a service has, is one clear error with the cure."""
    monkeypatch.setattr("sys.stdin", None)
    source = StdinSource(RATE, RATE, live=True, queue_seconds=1, stop=threading.Event())
    with pytest.raises(InputError, match="nothing feeds standard input"), source:
        pass


def test_a_stalled_input_is_reported_and_read_again(monkeypatch):
    """A stall yields a `SourceLost` and the state `stalled`; later sound is read at its position."""
    monkeypatch.setattr("device.audio.stdin_source.STALLED_SECONDS", 0.3)
    resume, states = threading.Event(), []

    def write(pipe):
        pipe.write(NOISE.tobytes())
        assert resume.wait(20)
        pipe.write(NOISE.tobytes())

    with piped(monkeypatch, write, live=True, on_state=lambda state, _message: states.append(state)) as source:
        items = []
        for item in source:
            items.append(item)
            if isinstance(item, SourceLost):
                resume.set()
    assert "stalled" in states
    assert states[-1] == "ok"
    blocks = [item for item in items if not isinstance(item, SourceLost)]
    assert blocks[-1].end == pytest.approx(2 * len(NOISE), abs=480)
    assert source.lost_samples == 0


def test_a_live_input_never_waits(monkeypatch):
    """If the reader is too slow, the oldest sound of a live input is dropped; the rest keeps its positions."""
    fed = threading.Event()

    def write(pipe):
        for number in range(1000):
            pipe.write(np.full(480, number, "<i2").tobytes())
        fed.set()

    blocks = []
    with piped(monkeypatch, write, live=True, queue_seconds=1) as source:
        for block in one_by_one(source):
            assert fed.wait(20)
            blocks.append(block)
    assert blocks[-1].end == pytest.approx(480 * 1000, abs=480)
    assert all(set(block.samples) <= {block.position // 480, block.position // 480 + 1} for block in blocks[:-1])
    assert source.lost_samples == pytest.approx(480 * (1000 - len(blocks)), abs=1440)
    assert len(blocks) < 500


def test_a_recording_waits(monkeypatch):
    """Nothing of a recording is dropped, even if the reader is slow."""

    def write(pipe):
        pipe.write(np.tile(NOISE, 10).tobytes())

    with piped(monkeypatch, write, queue_seconds=0.5) as source:
        assert sum(len(block.samples) for block in source) == pytest.approx(20 * RATE, abs=480)
    assert source.lost_samples == 0


def test_stop_ends_a_source_that_waits(monkeypatch):
    """`stop` ends a source that waits for its input."""
    stop, ended = threading.Event(), threading.Event()
    with piped(monkeypatch, lambda _pipe: ended.wait(20), live=True, stop=stop) as source:
        threading.Timer(0.3, stop.set).start()
        assert list(source) == []
        ended.set()


def test_a_pipe_that_does_not_block_is_read_to_its_end(monkeypatch):
    """A pipe that another program made non-blocking has pauses, which are no end."""
    go_on = threading.Event()

    def write(pipe):
        pipe.write(NOISE.tobytes())
        assert go_on.wait(20)
        pipe.write(NOISE.tobytes())

    with piped(monkeypatch, write, blocking=False) as source:
        count = 0
        for block in source:
            count += len(block.samples)
            if count >= len(NOISE) - 480:
                go_on.set()
    assert count == pytest.approx(2 * len(NOISE), abs=480)


def test_an_input_that_cannot_be_read_is_an_error(monkeypatch, tmp_path):
    """A folder as standard input is one clear error, and no traceback of a thread."""
    before = THREADS.failures
    with (tmp_path / "stdin").open("w") as stdin:
        folder = os.open(tmp_path, os.O_RDONLY)
        os.dup2(folder, stdin.fileno())
        os.close(folder)
        monkeypatch.setattr("sys.stdin", stdin)
        source = StdinSource(RATE, RATE, live=True, queue_seconds=1, stop=threading.Event())
        with source, pytest.raises(UnavailableError, match=r"cannot be read \(.*directory.*Pipe sound into it"):
            list(source)
    assert THREADS.failures == before
