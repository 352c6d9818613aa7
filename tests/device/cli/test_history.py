"""Tests of `earshot history`."""

import csv
import io
import json

import pytest
from history_events import end_message, write_history

import device.config.paths
from device.cli.main import main


@pytest.fixture
def history(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command, and returns code, lines on stdout and stderr."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))

    def run(*arguments):
        code = main(["history", *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


@pytest.fixture
def night(tmp_path, berlin_time):
    """Write a history of the night in which Berlin's clock is set back: 2 o'clock occurs twice."""
    two = berlin_time(2026, 10, 25, 2)
    messages = [
        end_message(berlin_time(2026, 10, 24, 23, 59), "dog_bark"),
        end_message(two, "siren", seconds=61.04),
        end_message(two + 3600, "siren", clock_synced=False),
        end_message(two + 3601, "Smoke detector, smoke alarm", vocabulary="audioset"),
        end_message(berlin_time(2026, 10, 25, 12), "dog_bark"),
    ]
    write_history(tmp_path / "history.db", messages)
    return messages


DAY = ("--since", "2026-10-25", "--until", "2026-10-26")


def test_events_are_listed_in_local_time(history, night):
    """Each event is one line with local time, label, confidence, duration, level and event id."""
    code, lines, _ = history(*DAY)
    assert code == 0
    assert [line[:19] for line in lines] == [
        "2026-10-25 02:00:00",
        "2026-10-25 02:00:00",
        "2026-10-25 02:00:01",
        "2026-10-25 12:00:00",
    ]
    assert lines[0].split()[2:] == ["siren", "90%", "61.0", "s", "-20", "dBFS", night[1]["event_id"]]
    assert lines[1].endswith("(clock was not set)")


def test_json_has_the_fields_of_the_end_message(history, night):
    """Each line of --json is the published `end` message."""
    _, lines, _ = history(*DAY, "--json")
    assert [json.loads(line) for line in lines] == night[1:]


def test_csv_is_a_table_in_local_time(history, night):
    """--csv has a heading, and times with the offset from UTC that held then."""
    _, lines, _ = history(*DAY, "--csv")
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert [row["start_time"] for row in rows[:2]] == ["2026-10-25T02:00:00.000+02:00", "2026-10-25T02:00:00.000+01:00"]
    assert [row["label"] for row in rows] == [message["label"] for message in night[1:]]
    assert (rows[1]["clock_synced"], rows[0]["duration_seconds"], rows[0]["event_id"]) == (
        "false",
        "61.04",
        night[1]["event_id"],
    )


def test_hours_are_counted_across_the_change_of_the_clock(history, night):
    """The day has 25 hours; both hours with the name 2 o'clock have their own count, and hours without events zero."""
    _, lines, _ = history(*DAY, "--by", "hour", "--json")
    hours = [json.loads(line) for line in lines]
    assert len(hours) == 25
    assert hours[2] == {
        "start_time": "2026-10-25T02:00:00.000+02:00",
        "end_time": "2026-10-25T02:00:00.000+01:00",
        "events": 1,
        "labels": {"siren": 1},
    }
    assert hours[3]["labels"] == {"Smoke detector, smoke alarm": 1, "siren": 1}
    assert (hours[4]["events"], hours[4]["labels"]) == (0, {})
    _, lines, _ = history(*DAY, "--by", "hour")
    assert lines[2:4] == [
        "2026-10-25 02:00 +0200      1  siren 1",
        "2026-10-25 02:00 +0100      2  Smoke detector, smoke alarm 1, siren 1",
    ]


def test_days_are_counted(history, night):
    """Days begin at local midnight, from that of the first event on; --csv has a column for each label."""
    _, lines, _ = history("--since", "2020-01-01", "--until", "2026-10-27", "--by", "day")
    assert lines == [
        "2026-10-24 Sat      1  dog_bark 1",
        "2026-10-25 Sun      4  siren 2, Smoke detector, smoke alarm 1, dog_bark 1",
        "2026-10-26 Mon      0",
    ]
    _, lines, _ = history("--since", "2020-01-01", "--until", "2026-10-26", "--by", "day", "--csv")
    assert lines == [
        'start_time,events,"Smoke detector, smoke alarm",dog_bark,siren',
        "2026-10-24T00:00:00.000+02:00,1,0,1,0",
        "2026-10-25T00:00:00.000+02:00,4,1,1,2",
    ]


def test_a_span_without_history_has_no_counts(history, night):
    """A span before the first event has no lines."""
    assert history("--since", "2020-01-01", "--until", "2020-01-02", "--by", "hour")[:2] == (0, [])


def test_labels_are_selected(history, night):
    """--label selects by label in any case or by slug, several times; a label without events is noted on stderr."""
    _, lines, _ = history(*DAY, "--label", "Siren", "--label", "smoke_detector_smoke_alarm", "--json")
    assert [json.loads(line)["label"] for line in lines] == ["siren", "siren", "Smoke detector, smoke alarm"]
    code, lines, error = history(*DAY, "--label", "sirn")
    assert (code, lines) == (0, [])
    assert error == ("earshot: 'sirn': the history contains no event of this label. Did you mean siren?\n")


def test_without_since_it_is_the_last_day(history, tmp_path, berlin_time):
    """By default, the events of the last 24 hours are listed."""
    import time

    write_history(tmp_path / "history.db", [end_message(time.time() - hours * 3600) for hours in (30, 25, 20, 1)])
    assert len(history()[1]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "nonsense"), "argument --since: is 'nonsense', must be a duration (30m, 24h, 7d)"),
        (("--until", "25:00"), "argument --until: is '25:00', must be"),
        (("--by", "week"), "argument --by: invalid choice"),
        (("--json", "--csv"), "not allowed with argument"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_end_with_2(history, capsys, arguments, message):
    """Nonsense is refused with the allowed forms and exit code 2."""
    with pytest.raises(SystemExit) as exit_info:
        history(*arguments)
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_a_span_that_ends_before_it_begins_is_refused(history, night):
    """The error has the cure, and exit code 2."""
    code, lines, error = history("--since", "2026-10-25", "--until", "2026-10-24")
    assert (code, lines) == (2, [])
    assert "Set a later --until, or an earlier --since" in error


def test_without_a_history_the_error_has_the_cure(history, tmp_path):
    """A missing file is one line with its path, and exit code 69."""
    code, _, error = history()
    assert code == 69
    assert error == (
        f"earshot: history {tmp_path / 'history.db'}: there is none. The daemon creates it, unless history.enabled is "
        "false. Use sudo for that of the service\n"
    )


def test_the_history_of_the_service_comes_first(tmp_path, monkeypatch, capsys):
    """Without $STATE_DIRECTORY, the service's history is shown to a user who may read it."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(device.config.paths, "SERVICE_STATE", tmp_path / "service")
    assert main(["history"]) == 69
    assert str(tmp_path / "home" / "earshot" / "history.db") in capsys.readouterr().err
    (tmp_path / "service").mkdir()
    assert main(["history"]) == 69
    assert str(tmp_path / "service" / "history.db") in capsys.readouterr().err
