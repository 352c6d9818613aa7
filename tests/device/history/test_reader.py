"""Tests of the history's reader: spans, counts, ids, and readers beside a writer."""

import sqlite3

import pytest
from history_events import CREATED, end_message, write_history
from hypothesis import given, settings
from hypothesis import strategies as st

from device.config.models import HistoryConfig
from device.errors import UnavailableError
from device.history.reader import HistoryReader
from device.history.table import EndedEvent, HistoryTable
from device.history.writer import HistoryWriter


@settings(max_examples=25)
@given(
    events=st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["siren", "dog_bark", "Smoke detector, smoke alarm"]))
    ),
    since=st.integers(0, 30),
    seconds=st.integers(1, 30),
    labels=st.sets(st.sampled_from(["siren", "dog_bark", "owl"])),
)
def test_a_span_has_exactly_its_events(tmp_path_factory, events, since, seconds, labels):
    """A span contains the events that start in it, in their order, and the counts of its parts add up to them."""
    path = tmp_path_factory.mktemp("history") / "history.db"
    messages = [end_message(float(start), label) for start, label in events]
    write_history(path, messages)
    until = since + seconds
    with pytest.MonkeyPatch.context() as patch, HistoryReader(path) as reader:
        patch.setattr("device.history.reader._PAGE_ROWS", 3)
        found = list(reader.events(since, until, sorted(labels)))
        occurrences = list(reader.occurrences(since, until, sorted(labels)))
        counts = reader.counts([since, (since + until) / 2, until], sorted(labels))
    expected = [(start, label) for start, label in events if since <= start < until and (not labels or label in labels)]
    assert [message["start_time"] for message in found] == sorted(message["start_time"] for message in found)
    assert sorted((int(message["start_time"][17:19]), message["label"]) for message in found) == sorted(expected)
    assert [(each.event_id, each.label, each.end_time) for each in occurrences] == [
        (message["event_id"], message["label"], each.start_time + 2.5)
        for each, message in zip(occurrences, found, strict=True)
    ]
    assert len(counts) == 2
    assert sum(sum(count.values()) for count in counts) == len(expected)
    assert {label for count in counts for label in count} == {label for _, label in expected}


def test_an_event_is_found_by_its_id(path):
    """The message of one event id is returned; an unknown id has none."""
    messages = [end_message(float(number)) for number in range(100)]
    write_history(path, messages)
    with HistoryReader(path) as reader:
        assert reader.event(messages[42]["event_id"]) == messages[42]
        assert reader.event("nothing") is None


def test_labels_and_extent(path):
    """The reader returns all labels, sorted, and the first and last start; of an empty history, none."""
    write_history(path, [])
    with HistoryReader(path) as reader:
        assert (reader.labels(), reader.extent()) == ([], None)
    write_history(path, [end_message(7.0, "siren"), end_message(5.0, "owl"), end_message(6.0, "owl")])
    with HistoryReader(path) as reader:
        assert (reader.labels(), reader.extent()) == (["owl", "siren"], (5.0, 7.0))


def test_a_view_of_a_span_needs_no_scan(path):
    """SQLite answers a span, its counts and an event id from an index."""
    write_history(path, [])
    database = sqlite3.connect(path)
    for query in (
        "SELECT message FROM events WHERE (start_time, label, id) > (?, ?, ?) AND start_time < ? "
        "ORDER BY start_time, label, id",
        "SELECT label, count(*) FROM events WHERE start_time >= ? AND start_time < ? GROUP BY label",
        "SELECT message FROM events WHERE event_id = ?",
    ):
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}", [0] * query.count("?"))]
        assert any("SEARCH events USING" in step for step in plan), plan
        assert not any("SCAN" in step or "TEMP B-TREE FOR ORDER BY" in step for step in plan), plan
    database.close()


def test_a_reader_sees_what_a_running_writer_stores(path):
    """A reader needs no lock: it reads while the file is open elsewhere, and its iteration stops no writer."""
    with HistoryWriter(path, HistoryConfig(days=36_500), lambda message, _: message):
        table = HistoryTable(path)
        table.insert([EndedEvent(end_message(float(number)), CREATED) for number in range(2500)])
        with HistoryReader(path) as reader:
            events = reader.events(0, 1e12)
            next(events)
            table.insert([EndedEvent(end_message(1e6), CREATED)])
            table.restart_log()
            assert len(list(events)) == 2500
        table.close()


def test_the_reader_changes_nothing(path):
    """The database is opened read-only."""
    write_history(path, [end_message()])
    with HistoryReader(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._database.execute("DELETE FROM events")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is none. The daemon creates it"),
        (b"noise" * 999, "cannot be read"),
        ("version", "format is version"),
    ],
    ids=["missing", "noise", "version"],
)
def test_a_history_that_cannot_be_read_is_one_clear_line(path, content, message):
    """A missing or damaged file, or one of another version, is an error with its path, and is not created."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
    with pytest.raises(UnavailableError, match=message), HistoryReader(path):
        pass
    assert path.exists() == (content is not None)


def test_a_path_with_special_characters_is_read(tmp_path):
    """A question mark, a percent sign and spaces in the path are no parameters of the URI."""
    folder = tmp_path / "a ?mode=rw&b %20 #c"
    folder.mkdir()
    write_history(folder / "history.db", [end_message()])
    with HistoryReader(folder / "history.db") as reader:
        assert reader.extent() is not None


def test_confidences_of_a_span(path):
    """The confidences of a span come with vocabulary and label."""
    write_history(path, [end_message(float(each), "siren", confidence=each / 10) for each in range(5)])
    with HistoryReader(path) as reader:
        found = sorted(reader.confidences(1.0, 3.0))
    assert found == [("bundle", "siren", 0.1), ("bundle", "siren", 0.2)]


def test_a_history_in_a_folder_without_write_access_is_read(path, monkeypatch):
    """A confined reader reads the history, with a daemon that writes it, and after it has ended."""
    monkeypatch.setattr("device.util.database_reader.os.access", lambda *_: False)
    table = HistoryTable(path)
    table.insert([EndedEvent(end_message(1.0), CREATED)])
    with HistoryReader(path) as reader:
        assert len(list(reader.events(1.0, 2.0))) == 1
    table.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    with HistoryReader(path) as reader:
        assert len(list(reader.events(1.0, 2.0))) == 1
        assert not path.with_name(f"{path.name}-shm").exists()
