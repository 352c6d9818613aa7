import shutil
import sqlite3

import pytest

from device.config.models import OutboxConfig
from device.outbox.queue import Outbox
from device.util.clock import Stamp

CREATED = Stamp(1.0, 2.0)
NOISE = b"noise" * 10_000


def fill(outbox, numbers):
    return [outbox.append({"number": number}, CREATED).sequence for number in numbers]


def numbers(outbox):
    return [entry.message["number"] for entry in outbox.entries_after(0, 1_000_000)]


@pytest.mark.parametrize("content", [NOISE, b"", "an old database"], ids=["noise", "empty", "other version"])
def test_a_damaged_file_is_renamed_and_replaced(path, caplog, content):
    """A damaged file, or one of another version, is renamed, logged and replaced; no number is issued twice."""
    with Outbox(path) as outbox:
        fill(outbox, range(5))
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
    with Outbox(path) as outbox:
        (sequence,) = fill(outbox, [5])
        assert sequence > 5
        assert numbers(outbox) == [5]
        assert outbox.status().trouble == ""
    renamed = list(path.parent.glob("outbox.sqlite.damaged-*"))
    assert len(renamed) == len(caplog.messages) == (0 if content == b"" else 1)  # an empty file is a new database
    if content == NOISE:
        assert renamed[0].read_bytes() == NOISE
        assert renamed[0].name in caplog.messages[0]


def test_a_file_that_is_overwritten_while_open_is_replaced(path, caplog):
    """If an open file is overwritten, only the messages in it are lost; later ones are kept."""
    with Outbox(path) as outbox:
        fill(outbox, range(300))
    with Outbox(path) as outbox:
        path.write_bytes(NOISE)
        issued = fill(outbox, range(300, 600))
        assert issued == list(range(301, 601))
        assert numbers(outbox)[-1] == 599
        assert outbox.status().trouble == ""
    with Outbox(path) as outbox:
        assert numbers(outbox)[-1] == 599
        assert fill(outbox, [0])[0] > 600


def test_only_two_damaged_files_are_kept(path):
    """After several damaged files, only the newest two are kept."""
    for _ in range(5):
        path.write_bytes(NOISE)
        with Outbox(path) as outbox:
            fill(outbox, [1])
    assert len(list(path.parent.glob("*damaged*"))) == 2


def test_the_oldest_messages_are_dropped_above_the_limit_of_messages(path, caplog):
    """Above `outbox.messages` the oldest messages are dropped and counted, with one log line."""
    with Outbox(path, OutboxConfig(messages=100)) as outbox:
        fill(outbox, range(250))
        assert numbers(outbox) == list(range(150, 250))
        assert outbox.status().dropped == 150
    (line,) = caplog.messages
    assert "outbox.messages is 100" in line


def test_the_oldest_messages_are_dropped_above_the_limit_of_size(path):
    """Above `outbox.megabytes` the oldest messages are dropped."""
    with Outbox(path, OutboxConfig(megabytes=1)) as outbox:
        for number in range(200):
            outbox.append({"number": number, "text": "x" * 20_000}, CREATED)
        kept = numbers(outbox)
        assert kept == list(range(200 - len(kept), 200))
        assert 1_000_000 - 40_000 <= sum(20_000 for _ in kept) <= 1_000_000 + 20_000


def test_a_disk_with_little_free_space_is_not_filled(path):
    """With less free space than `outbox.free_megabytes`, the outbox grows to 100 messages only."""
    with Outbox(path) as outbox:
        fill(outbox, range(150))
    with Outbox(path, OutboxConfig(free_megabytes=1_000_000)) as outbox:
        fill(outbox, range(150, 250))
        assert numbers(outbox) == list(range(100, 250))
        outbox.delete(range(1, 1000))
        fill(outbox, range(120))
        assert len(outbox) == 100


def test_the_write_ahead_log_stays_small(path):
    """After many messages the database and its write-ahead log are smaller than 10 MiB."""
    with Outbox(path) as outbox:
        for number in range(2000):
            outbox.delete([outbox.append({"number": number, "text": "x" * 5000}, CREATED).sequence])
        sizes = [file.stat().st_size for file in path.parent.iterdir()]
    assert sum(sizes) < 10 * 1024 * 1024


def test_commits_reach_the_disk(path):
    """The database syncs each stored message (synchronous = FULL), so a power cut loses no event."""
    with Outbox(path) as outbox:
        fill(outbox, [1])
        database = outbox._disk._table._database
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_on_a_full_disk_messages_are_kept_in_memory(small_disk, caplog):
    """Messages are kept in memory while the disk is full, and move to the disk in order when it has space."""
    path = small_disk / "outbox.sqlite"
    config = OutboxConfig(free_megabytes=0)
    with Outbox(path, config) as outbox:
        issued = fill(outbox, range(10))
        (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        issued += fill(outbox, range(10, 300))
        assert outbox.status().trouble
        outbox.delete([1, 2, 299])
        assert len(outbox) == len(numbers(outbox)) == 297
        (line,) = [message for message in caplog.messages if "memory" in message]
        assert "Free some space" in line
        assert numbers(outbox) == [*range(2, 298), 299]
        (small_disk / "ballast").unlink()
        assert outbox.retry_disk()
        issued += fill(outbox, [300])
        assert issued == list(range(1, 302))
        assert numbers(outbox) == [*range(2, 298), 299, 300]
        shutil.copytree(small_disk, small_disk.parent / "after a kill")
    with Outbox(small_disk.parent / "after a kill" / "outbox.sqlite") as outbox:
        assert numbers(outbox) == [*range(2, 298), 299, 300]


def test_numbers_issued_on_a_full_disk_are_not_issued_again(small_disk):
    """A daemon that is killed while its disk is full continues with the next number."""
    path, config = small_disk / "outbox.sqlite", OutboxConfig(free_megabytes=0)
    with Outbox(path, config) as outbox:
        fill(outbox, range(10))
        (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        last = fill(outbox, range(300))[-1]
        shutil.copytree(small_disk, small_disk.parent / "after a kill")
    with Outbox(small_disk.parent / "after a kill" / "outbox.sqlite") as outbox:
        assert fill(outbox, [0]) == [last + 1]
