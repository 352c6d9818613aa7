import sqlite3
import subprocess
import sys

import pytest

from device.errors import UnavailableError
from device.outbox import Outbox


def test_messages_wait_in_order_and_are_numbered(tmp_path):
    """What goes in comes out in its order, numbered from 1 without a gap."""
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        for number in range(5):
            outbox.append({"number": number})
        entries = outbox.after(0, 10)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.message for entry in entries] == [{"number": n, "sequence": n + 1} for n in range(5)]


def test_after_goes_on_where_it_left_off(tmp_path):
    """Messages that are under way are not handed out twice."""
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        for number in range(5):
            outbox.append({"number": number})
        assert [entry.sequence for entry in outbox.after(2, 2)] == [3, 4]


def test_a_restart_loses_nothing_and_reuses_no_number(tmp_path):
    """What was not confirmed is there after a restart; a number that was used is never given again."""
    path = tmp_path / "outbox.sqlite"
    with Outbox(path) as outbox:
        for number in range(3):
            outbox.append({"number": number})
        for sequence in (1, 2, 3):
            outbox.delete(sequence)
        outbox.append({"number": 3})
    with Outbox(path) as outbox:
        assert [entry.sequence for entry in outbox.after(0, 10)] == [4]
        outbox.delete(4)
    with Outbox(path) as outbox:
        assert len(outbox) == 0
        assert outbox.append({"number": 4}).sequence == 5


def test_a_killed_process_loses_nothing(tmp_path):
    """What `append` has taken is there even if the process dies in the next instant."""
    path = tmp_path / "outbox.sqlite"
    program = f"""
import os, pathlib
from device.outbox import Outbox
with Outbox(pathlib.Path({str(path)!r})) as outbox:
    for number in range(10):
        outbox.append({{"number": number}})
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with Outbox(path) as outbox:
        assert [entry.message["number"] for entry in outbox.after(0, 100)] == list(range(10))


def test_a_file_that_is_no_outbox_is_told(tmp_path):
    """Noise in the outbox's place is one clear error, and is not overwritten."""
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(UnavailableError, match="cannot be used"), Outbox(path):
        pass
    assert path.read_bytes() == b"noise" * 1000


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """A state folder below a file is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="STATE_DIRECTORY"), Outbox(tmp_path / "file" / "outbox.sqlite"):
        pass


def test_commits_reach_the_disk(tmp_path):
    """The database syncs at each commit (synchronous = FULL): a power cut loses no event."""
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        database: sqlite3.Connection = outbox._database
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
