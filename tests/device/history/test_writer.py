"""Tests of the history's thread: it never delays its caller, survives kill -9, a missing disk and an endless flood."""

import subprocess
import sys
import threading
import time

from history_events import CREATED, end_message, start_message
from support import wait_until

from device.config.models import HistoryConfig
from device.history.reader import HistoryReader
from device.history.store import HistoryStore
from device.history.writer import HistoryWriter


def make_writer(path, **limits):
    """Make a writer that corrects no times."""
    return HistoryWriter(path, HistoryConfig(days=36_500, **limits), lambda message, _: message)


def sequences(path):
    """Return the sequence numbers in the history."""
    with HistoryReader(path) as reader:
        return [message["sequence"] for message in reader.events(0, 1e12)]


def test_ended_events_are_stored_while_it_runs_and_at_its_end(path):
    """An `end` message is soon in the file, and each one at the end; a `start` message is not."""
    with make_writer(path) as history:
        history.add(start_message(), CREATED)
        history.add(end_message(sequence=2), CREATED)
        wait_until(lambda: history.status().rows == 1, 10, "the event")
        assert sequences(path) == [2]
        for number in range(3, 500):
            history.add(end_message(sequence=number), CREATED)
    assert sequences(path) == list(range(2, 500))
    assert history.status().dropped == 0


def test_the_file_is_opened_at_the_start(path):
    """The number of earlier events is known before the first event of this run."""
    with make_writer(path) as history:
        history.add(end_message(), CREATED)
    with make_writer(path) as history:
        wait_until(lambda: history.status().rows == 1, 10, "the count")


def test_a_killed_process_loses_nothing_that_was_stored(path, tmp_path):
    """After kill -9 in the middle of a flood, the file is whole and contains all but the last events, without a gap."""
    program = f"""
import pathlib, sys
sys.path[:0] = {sys.path!r}
from history_events import CREATED, end_message
from device.config.models import HistoryConfig
from device.history.writer import HistoryWriter
with HistoryWriter(pathlib.Path({str(path)!r}), HistoryConfig(days=36_500), lambda message, _: message) as history:
    for number in range(10**9):
        history.add(end_message(sequence=number), CREATED)
        while history.status().rows < number - 300:
            pass
        print(history.status().rows, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    stored = 0
    while stored < 1000:
        stored = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    kept = sequences(path)
    assert kept == list(range(len(kept)))
    assert len(kept) >= stored
    with make_writer(path) as history:
        history.add(end_message(sequence=len(kept)), CREATED)
    assert len(sequences(path)) == len(kept) + 1
    assert list(tmp_path.glob("*damaged*")) == []


def test_a_disk_that_hangs_delays_nobody(path, monkeypatch, caplog):
    """While the disk hangs, events are queued at once, the oldest are dropped, and the end does not wait for it."""
    monkeypatch.setattr("device.history.writer._GOODBYE_SECONDS", 0.1)
    hangs, continues = threading.Event(), threading.Event()

    def hang(*_):
        hangs.set()
        continues.wait(30)

    monkeypatch.setattr(HistoryStore, "store", hang)
    try:
        with make_writer(path) as history:
            history.add(end_message(), CREATED)
            assert hangs.wait(10)
            before = time.monotonic()
            for _ in range(1500):
                history.add(end_message(), CREATED)
            assert time.monotonic() - before < 5
            assert history.status().dropped == 500
        assert "its disk does not answer. Check the disk. The last events are missing in it" in caplog.messages[-1]
    finally:
        continues.set()


def test_without_a_folder_events_wait_in_memory(tmp_path, monkeypatch, caplog):
    """While the folder cannot be created, the trouble has the cure; later, all events are stored in their order."""
    monkeypatch.setattr("device.history.writer._RETRY_SECONDS", 0.05)
    caplog.set_level("INFO")
    (tmp_path / "state").write_text("a file in place of the folder")
    with make_writer(tmp_path / "state" / "history.db") as history:
        for number in range(250):
            history.add(end_message(sequence=number), CREATED)
        wait_until(lambda: history.status().trouble, 10, "the trouble")
        assert "Check the disk" in history.status().trouble
        (tmp_path / "state").unlink()
        wait_until(lambda: history.status().rows == 250, 10, "the events")
        wait_until(lambda: not history.status().trouble, 10, "the end of the trouble")
    assert sequences(tmp_path / "state" / "history.db") == list(range(250))
    assert len([line for line in caplog.messages if "Meanwhile, the last events are kept in memory" in line]) == 1
    assert "on disk again" in caplog.messages[-1]


def test_events_that_were_never_stored_are_reported(tmp_path, caplog):
    """A daemon that ends while the disk does not work logs that events are missing, with the cure."""
    (tmp_path / "state").write_text("a file in place of the folder")
    with make_writer(tmp_path / "state" / "history.db") as history:
        history.add(end_message(), CREATED)
    assert "Check the disk. The last events are missing in it" in caplog.messages[-1]
