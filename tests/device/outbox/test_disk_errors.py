"""Tests of errors at each statement: a disk error is no damage, and every message is delivered."""

import sqlite3

import failing_sqlite
import pytest
from failing_sqlite import CODES, Fault

from device.outbox.entry import Entry
from device.outbox.queue import Outbox
from device.outbox.sqlite_table import SqliteTable
from device.util.clock import Stamp

CREATED = Stamp(1.0, 2.0)
COMMIT = 5
"""Statements of an append before its COMMIT, with the count of the totals."""


@pytest.fixture(autouse=True)
def failing(monkeypatch):
    """Let connections fail on request."""
    failing_sqlite.install(monkeypatch)


def fill(outbox, numbers):
    return [outbox.append({"number": number}, CREATED).sequence for number in numbers]


def numbers(outbox):
    return [entry.message["number"] for entry in outbox.entries_after(0, 1000)]


def check_nothing_lost(path, outbox, expected):
    """Assert that the messages are complete, in order, and on the disk, and that no file was set aside."""
    assert numbers(outbox) == expected
    outbox.retry_disk()
    assert outbox.status().trouble == ""
    assert outbox.status().dropped == 0
    assert numbers(outbox) == expected
    outbox.refresh_status()
    assert len(outbox) == len(expected)
    assert not list(path.parent.glob("*damaged*"))


@pytest.mark.parametrize("executed", [False, True], ids=["refused", "takes effect"])
def test_an_error_at_any_statement_loses_nothing(path, executed):
    """An error at any statement of append, read and delete keeps each message, in order, under its number."""
    with Outbox(path) as outbox:
        sent, statement, failed = fill(outbox, range(3)), 0, True
        expected = [0, 1, 2]
        while failed:
            fault = Fault(sqlite3.SQLITE_IOERR_FSYNC, statement, executed=executed)
            number = len(sent)
            with failing_sqlite.fault(fault):
                sent += fill(outbox, [number])
                outbox.delete([sent[expected[0]]])
                numbers(outbox)
            expected = [*expected[1:], number]
            check_nothing_lost(path, outbox, expected)
            statement, failed = statement + 1, bool(fault.hits)
        assert statement > COMMIT
        assert sent == list(range(1, len(sent) + 1))
    with Outbox(path) as outbox:
        check_nothing_lost(path, outbox, expected)


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_no_error_but_corruption_is_damage(path, code):
    """With any error of SQLite but corruption, the file is kept, and messages wait in memory meanwhile."""
    with Outbox(path) as outbox:
        issued = fill(outbox, range(2))
        for statement, executed, count in ((0, False, 1), (COMMIT, True, 1), (COMMIT, False, 4)):
            with failing_sqlite.fault(Fault(code, statement, count, executed)) as fault:
                issued += fill(outbox, [len(issued)])
                assert fault.hits
                assert outbox.status().trouble.startswith("cannot be used (injected")
                issued += fill(outbox, [len(issued)])
            check_nothing_lost(path, outbox, list(range(len(issued))))
    assert issued == list(range(1, 9))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CORRUPT_INDEX, sqlite3.SQLITE_NOTADB])
def test_corruption_sets_the_file_aside_and_keeps_what_is_readable(path, code):
    """After corruption the file is renamed, and its intact messages are in the new file."""
    with Outbox(path) as outbox:
        fill(outbox, range(3))
        with failing_sqlite.fault(Fault(code)):
            fill(outbox, [3])
        assert numbers(outbox) == [0, 1, 2, 3]
        assert outbox.status().dropped == 0
        assert len(list(path.parent.glob("outbox.sqlite.damaged-*Z"))) == 1


def test_a_row_that_is_stored_again_is_stored(path):
    """Storing the same entry again is success, and counts once."""
    table = SqliteTable(path)
    entry = Entry(1, {"sequence": 1}, CREATED)
    table.append([entry], 1)
    table.append([entry, Entry(2, {"sequence": 2}, CREATED)], 2)
    assert table.totals().waiting == 2
    assert [each.sequence for each in table.entries_after(0, 9)] == [1, 2]
    table.close()


def test_an_acknowledged_message_of_a_failed_commit_is_not_sent_again(path):
    """A message whose commit failed, but reached the disk, is sent once, and gone after its acknowledgement."""
    with Outbox(path) as outbox:
        with failing_sqlite.fault(Fault(sqlite3.SQLITE_IOERR_FSYNC, COMMIT, executed=True)) as fault:
            fill(outbox, [0])
        assert fault.hits
        assert SqliteTable.totals(outbox._disk._table).waiting == 1
        outbox.delete([1])
        assert outbox.retry_disk()
        fill(outbox, [1])
        check_nothing_lost(path, outbox, [1])


def test_numbers_that_began_anew_are_changed_when_the_disk_is_back(tmp_path):
    """If the state directory was away at the start, its messages and numbers remain, and none occurs twice."""
    path = tmp_path / "state" / "outbox.sqlite"
    with Outbox(path) as outbox:
        fill(outbox, range(3))
    path.parent.rename(tmp_path / "away")
    path.parent.write_text("no folder")
    with Outbox(path) as outbox:
        assert fill(outbox, [3, 4]) == [1, 2]
        path.parent.unlink()
        (tmp_path / "away").rename(path.parent)
        assert outbox.retry_disk()
        assert outbox.first_of_run == 4
        assert [(entry.sequence, entry.message["sequence"]) for entry in outbox.entries_after(0, 9)] == [
            (number, number) for number in range(1, 6)
        ]
        check_nothing_lost(path, outbox, [0, 1, 2, 3, 4])
        assert fill(outbox, [5]) == [6]
