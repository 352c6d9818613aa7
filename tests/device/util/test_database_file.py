"""Tests of the database file: which errors set it aside, and which do not."""

import sqlite3

import pytest

from device.util.database_file import DatabaseFile, DatabaseUnavailableError
from device.util.log_throttle import LogThrottle

NOISE = b"noise" * 10_000


class NumberTable:
    """Table of unique numbers."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, timeout=0, isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY)")

    def close(self):
        self.database.close()

    def insert(self, number):
        self.database.execute("INSERT INTO numbers VALUES (?)", (number,))

    def numbers(self):
        return [number for (number,) in self.database.execute("SELECT number FROM numbers")]


@pytest.fixture
def losses():
    """Return a list that gets an entry for each damaged file."""
    return []


@pytest.fixture
def file(tmp_path, losses):
    """Return a database file with the number 1."""
    file = DatabaseFile("numbers", tmp_path / "numbers.db", NumberTable, 1, lambda: losses.append(1), LogThrottle())
    file.execute(lambda table: table.insert(1))
    yield file
    file.close()


def test_a_damaged_file_is_set_aside_and_replaced(file, losses, tmp_path, caplog):
    """The operation is repeated on a new file; the newest damaged one is kept, and each is logged with its name."""
    for _ in range(3):
        file.close()
        (tmp_path / "numbers.db").write_bytes(NOISE)
        file.execute(lambda table: table.insert(2))
        assert file.execute(NumberTable.numbers) == [2]
    (damaged,) = tmp_path.glob("numbers.db.damaged-*")
    assert damaged.read_bytes() == NOISE
    assert len(losses) == 3
    assert damaged.name in caplog.messages[-1]
    assert "Check the disk" in caplog.messages[-1]


def test_a_broken_constraint_is_no_damage(file, losses, tmp_path):
    """A row that breaks a constraint is a fault of the program: the file stays, and the error is not hidden."""
    with pytest.raises(sqlite3.IntegrityError):
        file.execute(lambda table: table.insert(1))
    assert file.execute(NumberTable.numbers) == [1]
    assert losses == list(tmp_path.glob("*damaged*")) == []


def test_a_closed_database_is_no_damage(file, losses):
    """An operation on a closed database is a fault of the program as well."""
    file.execute(NumberTable.close)
    with pytest.raises(sqlite3.ProgrammingError):
        file.execute(NumberTable.numbers)
    assert losses == []


def test_a_locked_file_is_unavailable(file, losses, tmp_path):
    """While another process writes, the file is unavailable, with the cure, and stays."""
    other = sqlite3.connect(tmp_path / "numbers.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnavailableError, match="End the other process that uses it"):
        file.execute(lambda table: table.insert(2))
    other.execute("ROLLBACK")
    other.close()
    file.execute(lambda table: table.insert(2))
    assert file.execute(NumberTable.numbers) == [1, 2]
    assert losses == []


def test_a_folder_in_its_place_is_unavailable(tmp_path):
    """A file that cannot be opened is unavailable, with the cure."""
    (tmp_path / "numbers.db").mkdir()
    file = DatabaseFile("numbers", tmp_path / "numbers.db", NumberTable, 1, lambda: None, LogThrottle())
    with pytest.raises(DatabaseUnavailableError, match="Make its folder writable, or set STATE_DIRECTORY") as caught:
        file.execute(NumberTable.numbers)
    assert not caught.value.is_full
