"""Tests of the stored minutes: table, reader, writer, and levels of several minutes together."""

import sqlite3

import failing_sqlite
import numpy as np
import pytest
from failing_sqlite import Fault
from support import wait_until

from device.errors import UnavailableError
from device.level.meter import LevelMeter
from device.level.minutes import LevelSum, minute_level
from device.level.statistics import LevelStatistics
from device.level.table import LevelReader, LevelTable
from device.level.writer import LevelWriter

RATE = 8000
MINUTE = 30_000_000


def noise(seconds, amplitude, seed=0):
    return np.random.default_rng(seed).normal(0, 32768 * amplitude, seconds * RATE).astype(np.int16)


def measure(samples):
    meter, statistics = LevelMeter(RATE), LevelStatistics()
    for steps in (meter.feed(samples), meter.drain()):
        statistics.add(steps)
    return statistics


def record(minute=MINUTE, samples=None, calibration_db=None, synced=True):
    """Make the record of a minute from samples, by default one second of noise."""
    statistics = measure(noise(1, 0.01, minute % 100) if samples is None else samples)
    return minute_level(minute, statistics.result(), statistics, calibration_db, clock_synced=synced)


def combine(minutes, calibrated=False):
    """Return the levels of minutes together."""
    total = LevelSum(calibrated=calibrated)
    for each in minutes:
        total.add(each)
    return total.result()


def read(path, first=0, last=10**9):
    with LevelReader(path) as reader:
        return reader.minutes(first * 60, last * 60)


def assert_same(stored, expected):
    for field in ("minute", "calibration_db", "clock_synced"):
        assert getattr(stored, field) == getattr(expected, field)
    for field in ("seconds", "laeq", "lamax"):
        assert getattr(stored, field) == pytest.approx(getattr(expected, field), abs=0.006)
    np.testing.assert_array_equal(stored.counts, expected.counts)


def stored_count(path):
    """Return the number of stored minutes, 0 while the file is being created."""
    try:
        return len(read(path))
    except UnavailableError:
        return 0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "levels.db"


def test_a_stored_minute_is_read_as_it_was(path):
    """Levels, distribution, calibration and clock of each minute are read again, in order and within the span."""
    minutes = [
        record(MINUTE + 2, calibration_db=117.25),
        record(MINUTE, synced=False),
        record(MINUTE + 1, np.zeros(RATE, np.int16)),
    ]
    table = LevelTable(path)
    table.store(minutes)
    table.close()
    stored = read(path)
    for each, expected in zip(stored, sorted(minutes, key=lambda minute: minute.minute), strict=True):
        assert_same(each, expected)
    assert [each.minute for each in read(path, MINUTE + 1, MINUTE + 2)] == [MINUTE + 1]


def test_the_parts_of_a_minute_are_merged(path):
    """A minute that two runs of the daemon measured has the levels of both parts together."""
    first, second = noise(10, 0.01), noise(20, 0.1, 1)
    table = LevelTable(path)
    for samples in (first, second):
        table.store([record(samples=samples)])
    table.close()
    (stored,) = read(path)
    whole = measure(np.concatenate([first, second])).result()
    assert stored.seconds == pytest.approx(30, abs=0.02)
    assert stored.laeq == pytest.approx(whole.laeq, abs=0.05)
    assert stored.lamax == pytest.approx(whole.lamax, abs=0.2)
    assert stored.counts.sum() == pytest.approx(600, abs=2)


def test_several_minutes_are_one_span():
    """LAeq, LAmax and percentiles of minutes together are those of their sound in one piece."""
    parts = [noise(20, amplitude, index) for index, amplitude in enumerate((0.01, 0.02, 0.1))]
    together = combine([record(MINUTE + index, part) for index, part in enumerate(parts)])
    whole = measure(np.concatenate(parts)).result()
    assert together.seconds == pytest.approx(60, abs=0.05)
    assert together.laeq == pytest.approx(whole.laeq, abs=0.05)
    for name in ("lamax", "la10", "la50", "la90"):
        assert getattr(together, name) == pytest.approx(getattr(whole, name), abs=0.3), name


def test_minutes_of_two_calibrations_are_combined_in_decibels():
    """A microphone whose gain was lowered by 10 dB, and calibrated again, has the same sound level before and after."""
    minutes = [record(MINUTE, noise(20, 0.1), 100.0), record(MINUTE + 1, noise(20, 0.1 / 10**0.5), 110.0)]
    level = combine(minutes, calibrated=True)
    alone = combine(minutes[:1], calibrated=True)
    assert alone.laeq == pytest.approx(minutes[0].laeq + 100)
    for name in ("laeq", "lamax", "la10", "la50", "la90"):
        assert getattr(level, name) == pytest.approx(getattr(alone, name), abs=0.3), name


def test_a_day_takes_a_fifth_of_a_megabyte(path):
    """1440 minutes of varying noise take less than 0.2 MB on disk."""
    rng = np.random.default_rng(0)
    varying = np.concatenate([noise(1, 0.001 * 10 ** rng.uniform(0, 1.5), index) for index in range(60)])
    template = record(samples=varying)
    table = LevelTable(path)
    table.store(type(template)(MINUTE + index, *list(vars(template).values())[1:]) for index in range(1440))
    table.close()
    assert path.stat().st_size < 200_000


def test_the_writer_stores_and_forgets(path):
    """Minutes are on disk after the end; those older than the limit are deleted, but not by a clock that is not set."""
    with LevelWriter(path, days=1, free_megabytes=0) as writer:
        writer.add(record(MINUTE - 1500))
        writer.add(record(MINUTE + 10**7, synced=False))
        wait_until(lambda: stored_count(path) == 2, 10, "both minutes")
        writer.add(record(MINUTE))
    assert [each.minute for each in read(path)] == [MINUTE, MINUTE + 10**7]


def test_without_free_space_the_oldest_minute_is_replaced(path):
    """Below the free space, each new minute replaces the oldest one, so that the file does not grow."""
    with LevelWriter(path, days=365, free_megabytes=0) as writer:
        for index in range(5):
            writer.add(record(MINUTE + index))
    with LevelWriter(path, days=365, free_megabytes=1e9) as writer:
        writer.add(record(MINUTE + 5))
    assert [each.minute - MINUTE for each in read(path)] == [1, 2, 3, 4, 5]


def test_minutes_wait_while_the_disk_does_not_work(path, caplog):
    """While the folder cannot be used, minutes wait in memory; the next minute after the repair stores all."""
    path.parent.write_text("a file in place of the folder")
    with LevelWriter(path, days=365, free_megabytes=0) as writer:
        writer.add(record(MINUTE))
        wait_until(lambda: "cannot be used" in caplog.text, 10, "the warning")
        path.parent.unlink()
        writer.add(record(MINUTE + 1))
    assert [each.minute for each in read(path)] == [MINUTE, MINUTE + 1]


def test_an_error_at_any_statement_stores_each_minute_once(path, monkeypatch):
    """After an error at any statement, and at its rollback, a minute is stored again, and not merged with itself."""
    failing_sqlite.install(monkeypatch)
    writer, expected, statement, hits = LevelWriter(path, days=365, free_megabytes=0), [], 0, 1
    while hits:
        expected.append(record(MINUTE + statement))
        writer.add(expected[-1])
        with failing_sqlite.fault(Fault(sqlite3.SQLITE_IOERR_WRITE, statement, count=2)) as fault:
            writer._update()
        writer._update()
        statement, hits = statement + 1, fault.hits
    writer._file.close()
    assert statement > 4  # BEGIN, select, insert, delete, COMMIT
    for stored, each in zip(read(path), expected, strict=True):
        assert_same(stored, each)


def test_minutes_that_could_not_be_stored_are_logged(path, caplog):
    """If the disk does not work until the end, the log states that the last minutes are missing."""
    path.parent.write_text("a file in place of the folder")
    with LevelWriter(path, days=365, free_megabytes=0) as writer:
        writer.add(record(MINUTE))
    assert "the last minutes are missing" in caplog.text


def test_a_damaged_file_is_replaced_and_reading_it_is_an_error(path):
    """A file that is no database is an error for the reader; the writer sets it aside and stores the minute."""
    path.parent.mkdir()
    with pytest.raises(UnavailableError, match="there are none"):
        read(path)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(UnavailableError, match="cannot be read"):
        read(path)
    with LevelWriter(path, days=365, free_megabytes=0) as writer:
        writer.add(record(MINUTE))
    assert len(read(path)) == 1
    assert len(list(path.parent.glob("levels.db.damaged-*"))) == 1
    with sqlite3.connect(path) as database:
        database.execute("UPDATE minutes SET first_class = 1000000")
    with pytest.raises(UnavailableError, match="out of its range"):
        read(path)
