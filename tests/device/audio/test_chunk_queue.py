"""Tests of the queue between the thread that reads a pipe and the one that classifies."""

import threading

from device.audio.chunk_queue import ChunkQueue

QUIET_READ_SECONDS = 0.24


def test_a_reader_is_woken_by_sound_alone(monkeypatch):
    """No wait of a reader ends before the next quiet read is due: each wake without sound would cost CPU time."""
    chunks, waits, waiting = ChunkQueue(), [], threading.Event()
    wait = chunks._changed.wait

    def record(timeout):
        waits.append(timeout)
        waiting.set()
        return wait(timeout)

    monkeypatch.setattr(chunks._changed, "wait", record)
    filler = threading.Thread(target=lambda: waiting.wait(10) and chunks.fill([(b"sound", False)]))
    filler.start()
    assert chunks.read(4.0, threading.Event()).data == b"sound"
    filler.join(10)
    assert waits
    assert min(waits) > QUIET_READ_SECONDS


def test_a_reader_without_sound_ends_at_its_limit_or_when_it_is_stopped():
    """Without sound, a read returns None at its time limit, and long before it once `stop` is set."""
    chunks, stop = ChunkQueue(), threading.Event()
    assert chunks.read(0.01, stop) is None
    threading.Timer(0.05, stop.set).start()
    assert chunks.read(3600.0, stop) is None
