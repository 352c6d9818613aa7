"""Tests of the history's file: limits of age and size, a full disk, damage, times before network time."""

import shutil
import sqlite3
import time

import pytest
from history_events import CREATED, end_message, write_history

from device.config.models import HistoryConfig
from device.history.reader import HistoryReader
from device.history.store import HistoryStore
from device.history.table import EndedEvent, HistoryTable
from device.mqtt.messages import correct_times
from device.util.clock import Clock, Stamp, boot_id
from device.util.database_file import DatabaseUnavailableError
from device.util.log_throttle import LogThrottle

NOISE = b"noise" * 10_000


def make_clock(offset=0.0, synced=True):
    """Make a clock whose system clock is wrong by `offset` seconds."""
    return Clock(wall=lambda: time.time() + offset, synced=lambda: synced)


def make_store(path, clock=None, **limits):
    """Make the store of a history."""
    clock = clock or make_clock()

    def correct(message, created):
        return correct_times(message, created, clock)

    return HistoryStore(path, HistoryConfig(**limits), clock, correct, LogThrottle())


def store(history, messages):
    """Store messages, and maintain the file."""
    history.store([EndedEvent(message, CREATED) for message in messages])
    history.maintain()


def sequences(path):
    """Return the sequence numbers in the history."""
    with HistoryReader(path) as reader:
        return [message["sequence"] for message in reader.events(0, 1e12)]


def fill_disk(disk):
    """Fill a disk to its last byte."""
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))


def numbered(numbers, **changes):
    """Make messages of successive minutes until now, with sequence numbers."""
    return [end_message(time.time() - 86400 + number, sequence=number, **changes) for number in numbers]


def test_messages_are_kept_as_they_are(path):
    """The history contains each `end` message whole, and stays after a restart."""
    messages = numbered(range(3))
    for message in messages:
        history = make_store(path)
        store(history, [message])
        history.close()
    with HistoryReader(path) as reader:
        assert list(reader.events(0, 1e12)) == messages
    assert history.rows == 3


def test_the_same_event_again_is_no_error(path):
    """An event whose commit was done although it was reported as failed is stored once."""
    history = make_store(path)
    message = end_message(time.time())
    store(history, [message])
    store(history, [message, end_message(time.time())])
    assert history.rows == 2
    history.close()


def test_old_events_are_forgotten(path):
    """Events older than `history.days` are deleted; they do not count as dropped."""
    history = make_store(path, days=2)
    now = time.time()
    store(history, [end_message(now - days * 86400, sequence=days) for days in range(5)])
    assert sequences(path) == [1, 0]
    assert (history.rows, history.dropped) == (2, 0)
    history.close()


def test_a_wrong_clock_forgets_nothing(path):
    """A clock of the next century, not set by network time, deletes no event."""
    history = make_store(path, make_clock(offset=1e9, synced=False), days=2)
    store(history, numbered(range(5)))
    assert history.rows == 5
    history.close()


def test_the_oldest_events_are_forgotten_above_the_limit_of_size(path, caplog):
    """All files together stay within `history.megabytes`; the newest events are kept, and one line is logged."""
    caplog.set_level("INFO")
    history = make_store(path, megabytes=5)
    for first in range(0, 6000, 100):
        store(history, numbered(range(first, first + 100)))
        assert sum(file.stat().st_size for file in path.parent.iterdir()) <= 5_000_000
    kept = sequences(path)
    assert kept == list(range(6000 - len(kept), 6000))
    assert 3000 < len(kept) == history.rows == 6000 - history.dropped
    assert history.trouble == ""
    (line,) = [message for message in caplog.messages if "history.megabytes" in message]
    assert "is 5: from now on, the oldest events are forgotten before history.days" in line
    history.close()


def test_a_smaller_limit_shrinks_the_file(path):
    """With a smaller `history.megabytes`, the file gives its space back to the disk step by step."""
    history = make_store(path, megabytes=30)
    store(history, numbered(range(1500), node_id="x" * 9000))
    history.close()
    before = path.stat().st_size
    history = make_store(path, megabytes=5)
    for number in range(1500, 1560):
        store(history, numbered([number]))
    history.close()
    assert path.stat().st_size < 8_000_000 < before
    assert sequences(path)[-1] == 1559


def test_on_a_full_disk_new_events_replace_the_oldest(make_disk, tmp_path):
    """On a disk without any space, each new event is stored in the place of old ones, and the trouble has the cure."""
    disk = make_disk(4)
    path = disk / "history.db"
    history = make_store(path, free_megabytes=0)
    for first in range(0, 300, 20):
        store(history, numbered(range(first, first + 20)))
    assert history.trouble == ""
    fill_disk(disk)
    for number in range(300, 700):
        store(history, numbered([number]))
    assert "Free some space" in history.trouble
    shutil.copytree(disk, tmp_path / "after a kill")
    kept = sequences(tmp_path / "after a kill" / "history.db")
    assert kept == list(range(700 - len(kept), 700))
    assert 250 < len(kept) == history.rows == 700 - history.dropped
    (disk / "ballast").unlink()
    history.maintain()
    assert history.trouble == ""
    history.close()


def test_a_new_history_on_a_full_disk_is_unavailable(make_disk):
    """Without space for a single event, the history is unavailable, with the cure, and works when there is space."""
    disk = make_disk(1)
    fill_disk(disk)
    history = make_store(disk / "history.db", free_megabytes=0)
    with pytest.raises(DatabaseUnavailableError, match="Free some space"):
        store(history, numbered([1]))
    (disk / "ballast").unlink()
    store(history, numbered([2]))
    history.close()
    assert sequences(disk / "history.db") == [2]


def test_a_disk_with_little_free_space_is_not_filled(path):
    """With less free space than `history.free_megabytes`, the file stays at one megabyte; the trouble ends with it."""
    history = make_store(path, free_megabytes=1_000_000)
    for first in range(0, 300, 50):
        store(history, numbered(range(first, first + 50), node_id="x" * 9000))
    assert path.stat().st_size <= 1_000_000
    assert "less free space than history.free_megabytes, 1e+06" in history.trouble
    assert sequences(path)[-1] == 299
    history.close()
    history = make_store(path)
    store(history, numbered([300]))
    assert history.trouble == ""
    history.close()


@pytest.mark.parametrize("content", [NOISE, b"", "another version"], ids=["noise", "empty", "another version"])
def test_a_damaged_file_is_set_aside(path, caplog, content):
    """A damaged file, or one of another version, is renamed, logged and replaced; its events count as dropped."""
    history = make_store(path)
    store(history, numbered(range(3)))
    history.close()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
    store(history, numbered([3]))
    assert sequences(path) == [3]
    assert history.dropped == (0 if content == b"" else 3)  # an empty file is a new database
    assert len(list(path.parent.glob("history.db.damaged-*"))) == (0 if content == b"" else 1)
    history.close()


def test_a_deleted_file_is_created_again(path):
    """Somebody who deletes the history while the daemon runs gets a new one, with the next events."""
    history = make_store(path)
    store(history, numbered(range(3)))
    for file in path.parent.iterdir():
        file.unlink()
    store(history, numbered([3]))
    assert sequences(path) == [3]
    assert history.rows == 1
    history.close()


def test_times_before_network_time_are_corrected(path):
    """Events of this boot move to their right time once network time has set the clock, before they count as old.

    Those of earlier boots keep their times, so they may be too old.
    """
    wrong, now = 1_000_000_000.0, time.time()
    clock = make_clock(offset=wrong - now, synced=False)
    history = make_store(path, clock)
    created = clock.stamp()
    of_this_boot = end_message(wrong, sequence=1, clock_synced=False, boot_id=boot_id())
    of_earlier_boot = end_message(wrong, sequence=2, clock_synced=False, boot_id="earlier")
    history.store([EndedEvent(of_this_boot, created), EndedEvent(of_earlier_boot, created)])
    history.maintain()
    assert sequences(path) == [1, 2]
    history.close()
    history = make_store(path, days=36_000)
    history.maintain()
    with HistoryReader(path) as reader:
        earlier, corrected = reader.events(0, 1e12)
        assert earlier == of_earlier_boot
        assert corrected["clock_synced"]
        assert [message["sequence"] for message in reader.events(now - 60, now + 60)] == [1]
    history.close()
    history = make_store(path, days=2)
    history.store([EndedEvent({**of_this_boot, "event_id": "other", "sequence": 3}, created)])
    history.maintain()
    assert sequences(path) == [1, 3]
    history.close()
    table = HistoryTable(path)
    assert table.uncorrected(10) == {}
    table.close()


def test_stamps_are_kept_only_until_the_correction(path):
    """An event with network time has no stamp, as it needs no correction."""
    write_history(path, [end_message(), end_message(clock_synced=False)])
    table = HistoryTable(path)
    assert [event.created for event in table.uncorrected(10).values()] == [Stamp(1.0, 2.0)]
    table.close()
