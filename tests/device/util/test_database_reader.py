"""Tests of the read-only view of a database, as the history and the levels use it."""

import sqlite3
from pathlib import Path

import pytest

from device.errors import UnavailableError
from device.history.reader import HistoryReader
from device.history.table import HistoryTable
from device.level.table import LevelReader, LevelTable


@pytest.fixture(params=[(HistoryTable, HistoryReader), (LevelTable, LevelReader)], ids=["history", "levels"])
def database(request, tmp_path):
    """Return the path of a database, the class of its table and that of its reader."""
    return tmp_path / "file.db", *request.param


def is_empty(reader):
    return not (list(reader.events(0, 1e12)) if isinstance(reader, HistoryReader) else reader.minutes(0, 1e12))


def test_a_database_in_a_folder_without_write_access_is_read(database, monkeypatch):
    """A confined reader reads the file beside a daemon that writes it, and after it, without files of its own."""
    path, table_class, reader_class = database
    monkeypatch.setattr("device.util.database_reader.os.access", lambda *_: False)
    table = table_class(path)
    with reader_class(path) as reader:
        assert is_empty(reader)
    table.close()
    with reader_class(path) as reader:
        assert is_empty(reader)
        assert [file.name for file in path.parent.iterdir()] == ["file.db"]


def test_a_file_that_is_being_created_is_absent(database):
    """A file whose tables the daemon has not created yet is no error of its format."""
    path, _, reader_class = database
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
    with pytest.raises(UnavailableError, match=r"there (is|are) none"), reader_class(path):
        pass


def test_a_folder_that_this_user_may_not_read_is_named(database, monkeypatch):
    """Without permission for the folder, the error contains the cure."""
    path, _, reader_class = database

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(UnavailableError, match=r"this user may not read it\. Use sudo"), reader_class(path):
        pass


def test_a_database_of_another_version_is_closed(database, monkeypatch):
    """A reader that refuses a file leaves no connection to it open."""
    path, table_class, reader_class = database
    table_class(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    reader = reader_class(path)
    with pytest.raises(UnavailableError, match="its format is version 99"):
        reader.__enter__()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        reader._database.execute("SELECT 1")


def test_a_damaged_name_is_one_clear_line(database):
    """A name in the schema that is not UTF-8 is an error with the path, and not one of Python."""
    path, table_class, reader_class = database
    table_class(path).close()
    name = b"events" if table_class is HistoryTable else b"minutes"
    content = path.read_bytes().replace(b"CREATE TABLE " + name, b"CREATE TABL_ " + name)
    path.write_bytes(content.replace(b"table" + name, b"table\xff" + name[1:]))
    with pytest.raises(UnavailableError, match="cannot be read"), reader_class(path) as reader:
        is_empty(reader)
