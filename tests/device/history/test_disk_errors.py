"""Tests of the history on a failing disk: no error of the disk sets a file aside, and each kind of damage does."""

import sqlite3

import failing_sqlite
import pytest
from failing_sqlite import Fault
from history_events import CREATED, end_message

from device.config.models import HistoryConfig
from device.history.reader import HistoryReader
from device.history.store import HistoryStore
from device.history.table import EndedEvent
from device.util.clock import Clock
from device.util.database_file import DatabaseUnavailableError
from device.util.log_throttle import LogThrottle


def make_store(path):
    """Make a store that forgets nothing, with a clock that network time has set."""
    clock = Clock(synced=lambda: True)
    return HistoryStore(path, HistoryConfig(days=36_500), clock, lambda message, _: message, LogThrottle())


def store(history, number):
    history.store([EndedEvent(end_message(float(number), sequence=number), CREATED)])


def numbers(path):
    with HistoryReader(path) as reader:
        return [message["sequence"] for message in reader.events(0, 1e12)]


def write(path, count=3):
    """Write a history of a few events."""
    history = make_store(path)
    for number in range(count):
        store(history, number)
    history.close()


def test_an_error_at_any_statement_loses_nothing(path, monkeypatch):
    """After an error at any statement, and at its rollback, the next event is stored beside the earlier ones."""
    failing_sqlite.install(monkeypatch)
    history, statement, hits = make_store(path), 0, 1
    store(history, 0)
    stored = [0]
    while hits:
        number = statement + 1
        with failing_sqlite.fault(Fault(sqlite3.SQLITE_IOERR_WRITE, statement, count=2)) as fault:
            try:
                store(history, number)
                stored.append(number)
            except DatabaseUnavailableError:
                assert fault.hits
        statement, hits = statement + 1, fault.hits
    assert statement > 4  # BEGIN, two inserts, COMMIT
    history.close()
    assert numbers(path) == stored == [0, number]
    assert not list(path.parent.glob("*damaged*"))


def change(path, old, new):
    """Replace bytes of the file, once."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize("damage", ["name", "header"])
def test_damage_that_sqlite_does_not_report_as_such_sets_the_file_aside(path, damage):
    """A name that is not UTF-8, and a header that makes the file read-only for ever, are damage."""
    write(path)
    if damage == "name":
        change(path, b"tableeventsevents", b"table\xffventsevents")
        change(path, b"CREATE TABLE events", b"CREATE TABL_ events")
    else:
        content = path.read_bytes()
        path.write_bytes(content[:18] + b"\xff" + content[19:])
    history = make_store(path)
    store(history, 3)
    history.close()
    assert numbers(path) == [3]
    assert len(list(path.parent.glob("history.db.damaged-*Z"))) == 1


def test_a_damaged_letter_ends_neither_writer_nor_reader(path):
    """A message with a byte that is not UTF-8 is corrected and read, with a replacement for the byte."""
    history = make_store(path)
    history.store([EndedEvent(end_message(1.0, clock_synced=False, node_id="garden"), CREATED)])
    history.close()
    change(path, b'"garden"', b'"g\xffrden"')
    history.maintain()
    history.close()
    with HistoryReader(path) as reader:
        (message,) = reader.events(0, 1e12)
    assert message["node_id"] == "g�rden"
