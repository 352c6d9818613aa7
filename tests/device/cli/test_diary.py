"""Tests of `earshot diary`, on stored minutes and events."""

import csv
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from history_events import end_message, write_history

from device.cli.main import main
from device.level.minutes import MinuteLevel
from device.level.table import LEVELS_FILE, LevelTable

LIMITS = ("--set", "level.limit_day_db=60", "--set", "level.limit_night_db=45")
DAY = ("--from", "2026-11-02", "--to", "2026-11-03")


@pytest.fixture
def diary(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command, and returns code, object of --json and stderr."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(["diary", "--json", *arguments])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return run


def minute(start, laeq, calibration_db=110.0, **changes):
    """Make a minute with a constant level, dB(A)."""
    counts = np.zeros(300, np.int64)
    counts[int((laeq - 110.0 + 140) / 0.5)] = 1200
    fields = {"clock_synced": True, "seconds": 60.0, **changes}
    number, level = round(start / 60), laeq - 110.0
    return MinuteLevel(number, laeq=level, lamax=level + 5, counts=counts, calibration_db=calibration_db, **fields)


@pytest.fixture
def day(tmp_path, berlin_time):
    """Store a day of 50 dB(A), with 70 dB(A) from 10 to 11 and 40 dB(A) at night, and three events."""
    start = berlin_time(2026, 11, 2)

    def level(hour):
        return 70.0 if hour == 10 else 50.0 if 7 <= hour < 23 else 40.0

    table = LevelTable(tmp_path / LEVELS_FILE)
    table.store(minute(start + 60 * index, level(index // 60)) for index in range(1440))
    table.close()
    loud = {"laeq_db": 72.0, "lamax_db": 80.0, "rise_db": 25.0, "level_calibrated": True}
    old = end_message(start + 12 * 3600, "siren")
    for name in loud:
        del old[name]
    write_history(
        tmp_path / "history.db",
        [
            end_message(start + 10 * 3600, "jackhammer", seconds=600.0, **loud),
            end_message(start + 3 * 3600, "<b>dog</b>", seconds=2.0, **{**loud, "laeq_db": 44.0}),
            old,
        ],
    )
    return start


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_diary_has_levels_events_and_limits(diary, day, tmp_path):
    """Lday, Levening, Lnight and Lden are those of the day; what is above its limit is counted in all three files."""
    code, summary, notes = diary(*DAY, *LIMITS)
    assert (code, notes) == (0, "")
    expected = {"lday_db": 59.7, "levening_db": 50.0, "lnight_db": 40.0, "lden_db": 57.4, "calibrated": True}
    assert {name: summary[name] for name in expected} == expected
    counts = [summary[name] for name in ("events", "events_above_limit", "hours_above_limit")]
    assert counts == [3, 1, 1]
    hours = table(tmp_path / "diary" / "hours.csv")
    assert len(hours) == 24
    assert [row["laeq_db"] for row in hours if row["above_limit"] == "yes"] == ["70.0"]
    assert hours[10]["start_time"] == "2026-11-02T10:00:00+01:00"
    assert (hours[3]["period"], hours[3]["limit_db"], hours[3]["unit"]) == ("night", "45.0", "dB(A)")
    assert [row["above_limit"] for row in hours[19:23]] == [""] * 4, "the evening has no limit"
    events = table(tmp_path / "diary" / "events.csv")
    assert [row["label"] for row in events] == ["<b>dog</b>", "jackhammer", "siren"]
    assert [row["above_limit"] for row in events] == ["no", "yes", ""]
    assert (events[1]["duration_seconds"], events[1]["rise_db"], events[1]["unit"]) == ("600.0", "25.0", "dB(A)")
    assert (events[2]["laeq_db"], events[2]["unit"]) == ("", "")


def test_the_page_is_complete_and_safe(diary, day, tmp_path):
    """The page has two plots that are valid SVG, the limits of the method, and escaped names; it loads nothing."""
    diary(*DAY, *LIMITS)
    page = (tmp_path / "diary" / "diary.html").read_text()
    plots = [ElementTree.fromstring(plot) for plot in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert len(plots) == 2
    line = next(each.get("d") for each in plots[0].iter("path") if each.get("class") == "line")
    assert line.count("L") == 1439, "one value for each minute, without a gap"
    assert sum(each.get("class") == "limit" for each in plots[0].iter("path")) == 20
    assert "no certified sound level meter" in page
    assert "&lt;b&gt;dog&lt;/b&gt;" in page
    assert not re.search(r"<b>dog|<script|https?:|src=", page)
    assert "jackhammer" in page
    assert "dBFS" not in page


def test_one_label_and_another_folder(diary, day, tmp_path):
    """--label selects events, in any form of the name; --output names the folder; an unknown label is an error."""
    code, summary, _ = diary(*DAY, "--label", "Jackhammer", "--output", "x/y")
    assert (code, summary["events"]) == (0, 1)
    assert len(table(tmp_path / "x" / "y" / "events.csv")) == 1
    code, summary, errors = diary(*DAY, "--label", "owl")
    assert (code, summary) == (2, None)
    assert "no event has such a label" in errors


def test_uncalibrated_levels_are_named_and_compared_with_no_limit(diary, tmp_path, berlin_time):
    """Without a calibration, every unit is dBFS(A), and nothing exceeds a limit."""
    start = berlin_time(2026, 11, 2)
    levels = LevelTable(tmp_path / LEVELS_FILE)
    levels.store(minute(start + 60 * index, 70.0, None) for index in range(60))
    levels.close()
    code, summary, notes = diary(*DAY, *LIMITS, "--set", "level.limit_night_db=0")
    assert (code, summary["calibrated"], summary["hours_above_limit"], summary["laeq_db"]) == (0, False, 0, -40.0)
    assert "Uncalibrated" in notes
    page = (tmp_path / "diary" / "diary.html").read_text()
    assert "-40.0 dBFS(A)" in page
    assert {row["unit"] for row in table(tmp_path / "diary" / "hours.csv")} == {"dBFS(A)"}


def test_minutes_from_before_the_calibration_are_left_out(diary, tmp_path, berlin_time):
    """In a span with calibrated minutes, the others do not count, and their number is stated."""
    start = berlin_time(2026, 11, 2)
    levels = LevelTable(tmp_path / LEVELS_FILE)
    levels.store([minute(start, 90.0, None), minute(start + 60, 60.0), minute(start + 120, 60.0, clock_synced=False)])
    levels.close()
    _, summary, notes = diary(*DAY)
    assert (summary["laeq_db"], summary["calibrated"]) == (60.0, True)
    assert "left out of the levels: 1." in notes
    assert "before network time had set the clock: 1." in notes


def test_a_diary_of_nothing_is_an_error(diary, day, tmp_path):
    """A span without levels and events, a span that ends before it begins, and a bad folder have a message each."""
    assert diary("--from", "2020-01-01", "--to", "2020-01-02")[0] == 69
    assert diary("--from", "2026-11-03", "--to", "2026-11-02")[0] == 2
    (tmp_path / "file").write_text("")
    code, _, errors = diary(*DAY, "--output", "file")
    assert code == 69
    assert "cannot be written" in errors
