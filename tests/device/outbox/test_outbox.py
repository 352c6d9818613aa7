import shutil
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.config.models import OutboxConfig
from device.errors import UnavailableError
from device.outbox.queue import Outbox
from device.util.clock import Stamp

MADE = Stamp(1.0, 2.0)
NOISE = b"noise" * 10_000


@pytest.fixture
def path(tmp_path):
    """Where the outbox lies."""
    return tmp_path / "outbox.sqlite"


def fill(outbox, numbers):
    return [outbox.append({"number": number}, MADE).sequence for number in numbers]


def numbers(outbox):
    return [entry.message["number"] for entry in outbox.after(0, 1_000_000)]


def sequences(outbox):
    return [entry.sequence for entry in outbox.after(0, 1_000_000)]


def test_messages_wait_in_order_and_are_numbered(path):
    """What goes in comes out in its order, numbered from 1 without a gap, with the time when it was made."""
    with Outbox(path) as outbox:
        fill(outbox, range(5))
        entries = outbox.after(0, 10)
        assert len(outbox) == 5
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.message for entry in entries] == [{"number": n, "sequence": n + 1} for n in range(5)]
    assert {entry.made for entry in entries} == {MADE}


def test_after_goes_on_where_it_left_off(path):
    """Messages that are under way are not handed out twice."""
    with Outbox(path) as outbox:
        fill(outbox, range(5))
        assert [entry.sequence for entry in outbox.after(2, 2)] == [3, 4]


def test_a_restart_loses_nothing_and_reuses_no_number(path):
    """What was not confirmed is there after a restart; a number that was used is never given again."""
    with Outbox(path) as outbox:
        fill(outbox, range(3))
        outbox.delete([1, 2, 3])
        fill(outbox, [3])
    with Outbox(path) as outbox:
        assert sequences(outbox) == [4]
        outbox.delete([4])
    with Outbox(path) as outbox:
        assert len(outbox) == 0
        assert fill(outbox, [4]) == [5]
        assert outbox.first_of_run == 5


def test_a_killed_process_loses_nothing(path):
    """What `append` has taken is there even if the process dies in the next instant."""
    program = f"""
import os, pathlib
from device.util.clock import Stamp
from device.outbox.queue import Outbox
with Outbox(pathlib.Path({str(path)!r})) as outbox:
    for number in range(10):
        outbox.append({{"number": number}}, Stamp(0, 0))
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with Outbox(path) as outbox:
        assert numbers(outbox) == list(range(10))


@pytest.mark.parametrize("content", [NOISE, b"", "an old database"], ids=["noise", "empty", "other version"])
def test_a_damaged_file_is_put_aside(path, caplog, content):
    """Noise, or a file of another version, is kept under another name, told, and replaced; numbers are not reused."""
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
        assert outbox.facts().trouble == ""
    aside = list(path.parent.glob("outbox.sqlite.damaged-*"))
    assert len(aside) == len(caplog.messages) == (0 if content == b"" else 1)  # an empty file is a new database
    if content == NOISE:
        assert aside[0].read_bytes() == NOISE
        assert aside[0].name in caplog.messages[0]


def test_noise_over_the_file_of_a_running_outbox(path, caplog):
    """Overwritten while it is open: what comes after is kept, at most what waited is in the file put aside."""
    with Outbox(path) as outbox:
        fill(outbox, range(300))
    with Outbox(path) as outbox:
        path.write_bytes(NOISE)
        given = fill(outbox, range(300, 600))
        assert given == list(range(301, 601))
        assert numbers(outbox)[-1] == 599
        assert outbox.facts().trouble == ""
    with Outbox(path) as outbox:
        assert numbers(outbox)[-1] == 599
        assert fill(outbox, [0])[0] > 600


def test_damaged_files_do_not_pile_up(path):
    """Only the newest two are kept."""
    for _ in range(5):
        path.write_bytes(NOISE)
        with Outbox(path) as outbox:
            fill(outbox, [1])
    assert len(list(path.parent.glob("*damaged*"))) == 2


def test_a_folder_that_cannot_be_made_is_told_and_memory_serves(tmp_path, caplog):
    """Without a disk the outbox is one in memory, which says so once."""
    (tmp_path / "file").write_text("")
    with Outbox(tmp_path / "file" / "outbox.sqlite") as outbox:
        fill(outbox, range(3))
        assert numbers(outbox) == [0, 1, 2]
        outbox.delete([1])
        assert numbers(outbox) == [1, 2]
        assert len(outbox) == outbox.facts().depth == 2
        assert outbox.facts().trouble
        assert not outbox.recover()
        (line,) = caplog.messages
        assert "STATE_DIRECTORY" in line
    assert "2 messages are lost" in caplog.messages[-1]


def test_what_waited_in_memory_goes_to_disk_when_it_is_back(tmp_path):
    """In order, numbered on, less what was confirmed meanwhile; a restart finds all of it."""
    path = tmp_path / "state" / "outbox.sqlite"
    (tmp_path / "state").write_text("in the way")
    with Outbox(path) as outbox:
        fill(outbox, range(4))
        outbox.delete([2])
        (tmp_path / "state").unlink()
        (tmp_path / "state").mkdir()
        assert outbox.recover()
        assert outbox.facts().trouble == ""
        fill(outbox, [4])
        assert sequences(outbox) == [1, 3, 4, 5]
    with Outbox(path) as outbox:
        assert sequences(outbox) == [1, 3, 4, 5]
        assert fill(outbox, [5]) == [6]


def test_a_second_process_is_refused(path):
    """Two daemons on one outbox would give the same numbers."""
    with Outbox(path), pytest.raises(UnavailableError, match="another process uses it"), Outbox(path):
        pass


def test_the_oldest_goes_when_too_many_wait(path, caplog):
    """Bounded by count: the newest stay, the rest is counted and told once, and the gap is seen."""
    with Outbox(path, OutboxConfig(messages=100)) as outbox:
        fill(outbox, range(250))
        assert numbers(outbox) == list(range(150, 250))
        assert outbox.facts().dropped == 150
    (line,) = caplog.messages
    assert "outbox.messages is 100" in line


def test_the_oldest_goes_when_they_are_too_large(path):
    """Bounded by size."""
    with Outbox(path, OutboxConfig(megabytes=1)) as outbox:
        for number in range(200):
            outbox.append({"number": number, "text": "x" * 20_000}, MADE)
        held = numbers(outbox)
        assert held == list(range(200 - len(held), 200))
        assert 1024 * 1024 - 40_000 <= sum(20_000 for _ in held) <= 1024 * 1024 + 40_000


def test_a_disk_without_room_to_spare_is_not_filled(path):
    """With less free than is to stay free, the outbox holds no more than it did; a few messages may always pass."""
    with Outbox(path) as outbox:
        fill(outbox, range(150))
    with Outbox(path, OutboxConfig(free_megabytes=1_000_000)) as outbox:
        fill(outbox, range(150, 250))
        assert numbers(outbox) == list(range(100, 250))
        outbox.delete(range(1, 1000))
        fill(outbox, range(120))
        assert len(outbox) == 100


def test_the_log_of_the_database_stays_small(path):
    """A message that passes through leaves no more than the write-ahead log's bound."""
    with Outbox(path) as outbox:
        for number in range(2000):
            outbox.delete([outbox.append({"number": number, "text": "x" * 5000}, MADE).sequence])
        sizes = [file.stat().st_size for file in path.parent.iterdir()]
    assert sum(sizes) < 10 * 1024 * 1024


def test_commits_reach_the_disk(path):
    """The database syncs as it stores (synchronous = FULL): a power cut loses no event."""
    with Outbox(path) as outbox:
        fill(outbox, [1])
        database = outbox._disk._file._database
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_disk(small_disk, caplog):
    """Full: memory takes over, said once. Room again: all goes to the disk, in order, and a kill loses none of it."""
    path = small_disk / "outbox.sqlite"
    config = OutboxConfig(free_megabytes=0)
    with Outbox(path, config) as outbox:
        given = fill(outbox, range(10))
        (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        given += fill(outbox, range(10, 300))
        assert outbox.facts().trouble
        outbox.delete([1, 2, 299])
        assert len(outbox) == len(numbers(outbox)) == 297
        (line,) = [message for message in caplog.messages if "memory" in message]
        assert "Free some space" in line
        assert numbers(outbox) == [*range(2, 298), 299]
        (small_disk / "ballast").unlink()
        assert outbox.recover()
        given += fill(outbox, [300])
        assert given == list(range(1, 302))
        assert numbers(outbox) == [*range(2, 298), 299, 300]
        shutil.copytree(small_disk, small_disk.parent / "after a kill")
    with Outbox(small_disk.parent / "after a kill" / "outbox.sqlite") as outbox:
        assert numbers(outbox) == [*range(2, 298), 299, 300]


def test_numbers_given_on_a_full_disk_are_not_given_again(small_disk):
    """A daemon that is killed while its disk is full goes on counting where it was."""
    path, config = small_disk / "outbox.sqlite", OutboxConfig(free_megabytes=0)
    with Outbox(path, config) as outbox:
        fill(outbox, range(10))
        (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        last = fill(outbox, range(300))[-1]
        shutil.copytree(small_disk, small_disk.parent / "after a kill")
    with Outbox(small_disk.parent / "after a kill" / "outbox.sqlite") as outbox:
        assert fill(outbox, [0]) == [last + 1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["append", "confirm", "restart", "lose disk", "find disk", "noise"]), max_size=12))
def test_whatever_happens_numbers_only_rise(tmp_path_factory, steps):
    """Any order of messages, confirmations, restarts, lost disks and noise: order kept, no number twice."""
    folder = tmp_path_factory.mktemp("outbox") / "state"
    given, is_there = [], True
    outbox = Outbox(folder / "outbox.sqlite").__enter__()
    for step in steps:
        if step == "append":
            given += fill(outbox, range(3))
        elif step == "confirm":
            outbox.delete(sequences(outbox)[:2])
        elif step == "restart" and is_there:
            outbox.__exit__()
            outbox = Outbox(folder / "outbox.sqlite").__enter__()
        elif step == "noise" and is_there and (folder / "outbox.sqlite").exists():
            outbox.__exit__()
            (folder / "outbox.sqlite").write_bytes(NOISE)
            outbox = Outbox(folder / "outbox.sqlite").__enter__()
        elif step == "lose disk" and is_there:
            outbox._disk.close()
            is_there = False
            folder.rename(folder.with_name("away"))
        elif step == "find disk" and not is_there:
            folder.with_name("away").rename(folder)
            assert outbox.recover() or not outbox.facts().trouble
            is_there = True
        waiting = sequences(outbox)
        assert waiting == sorted(waiting)
        assert len(outbox) == len(waiting) or not is_there
    outbox.__exit__()
    assert given == sorted(set(given))
