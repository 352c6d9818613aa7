import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors import UnavailableError
from device.outbox.queue import Outbox
from device.util.clock import Stamp

CREATED = Stamp(1.0, 2.0)
NOISE = b"noise" * 10_000


def fill(outbox, numbers):
    return [outbox.append({"number": number}, CREATED).sequence for number in numbers]


def numbers(outbox):
    return [entry.message["number"] for entry in outbox.entries_after(0, 1_000_000)]


def sequences(outbox):
    return [entry.sequence for entry in outbox.entries_after(0, 1_000_000)]


def test_messages_are_kept_in_order_and_numbered(path):
    """Messages are read in their order, numbered from 1 without a gap, with the time of their creation."""
    with Outbox(path) as outbox:
        fill(outbox, range(5))
        entries = outbox.entries_after(0, 10)
        assert len(outbox) == 5
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.message for entry in entries] == [{"number": n, "sequence": n + 1} for n in range(5)]
    assert {entry.created for entry in entries} == {CREATED}


def test_entries_after_a_number_are_read(path):
    """Only messages above a sequence number are read, so messages in flight are not sent twice."""
    with Outbox(path) as outbox:
        fill(outbox, range(5))
        assert [entry.sequence for entry in outbox.entries_after(2, 2)] == [3, 4]


def test_a_restart_loses_nothing_and_reuses_no_number(path):
    """Messages without acknowledgement survive a restart, and no sequence number is issued twice."""
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
    """A message is on disk as soon as `append` returns, even if the process is killed then."""
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


def test_without_a_folder_messages_are_kept_in_memory(tmp_path, caplog):
    """If its folder cannot be created, the outbox keeps messages in memory, and logs that once."""
    (tmp_path / "file").write_text("")
    with Outbox(tmp_path / "file" / "outbox.sqlite") as outbox:
        fill(outbox, range(3))
        assert numbers(outbox) == [0, 1, 2]
        outbox.delete([1])
        assert numbers(outbox) == [1, 2]
        assert len(outbox) == outbox.status().depth == 2
        assert outbox.status().trouble
        assert not outbox.retry_disk()
        (line,) = caplog.messages
        assert "STATE_DIRECTORY" in line
    assert "2 messages are lost" in caplog.messages[-1]


def test_messages_in_memory_move_to_the_disk_when_it_is_available(tmp_path):
    """Messages without acknowledgement move from memory to the disk in order, and survive a restart."""
    path = tmp_path / "state" / "outbox.sqlite"
    (tmp_path / "state").write_text("a file in place of the folder")
    with Outbox(path) as outbox:
        fill(outbox, range(4))
        outbox.delete([2])
        (tmp_path / "state").unlink()
        (tmp_path / "state").mkdir()
        assert outbox.retry_disk()
        assert outbox.status().trouble == ""
        fill(outbox, [4])
        assert sequences(outbox) == [1, 3, 4, 5]
    with Outbox(path) as outbox:
        assert sequences(outbox) == [1, 3, 4, 5]
        assert fill(outbox, [5]) == [6]


def test_a_second_process_is_refused(path):
    """A second process cannot open an outbox that is in use, because it would issue the same numbers."""
    with Outbox(path), pytest.raises(UnavailableError, match="another process uses it"), Outbox(path):
        pass


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["append", "acknowledge", "restart", "lose disk", "find disk", "noise"]), max_size=12))
def test_sequence_numbers_only_rise(tmp_path_factory, steps):
    """For any order of messages, acknowledgements, restarts, lost disks and damage, no number is issued twice."""
    folder = tmp_path_factory.mktemp("outbox") / "state"
    issued, is_there = [], True
    outbox = Outbox(folder / "outbox.sqlite").__enter__()
    for step in steps:
        if step == "append":
            issued += fill(outbox, range(3))
        elif step == "acknowledge":
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
            assert outbox.retry_disk() or not outbox.status().trouble
            is_there = True
        waiting = sequences(outbox)
        assert waiting == sorted(waiting)
        assert len(outbox) == len(waiting) or not is_there
    outbox.__exit__()
    assert issued == sorted(set(issued))
