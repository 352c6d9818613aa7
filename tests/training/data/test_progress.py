"""Progress bars, on a terminal and in a log."""

import sys

import pytest

from device.errors import InputError
from training.data import progress as module
from training.data.progress import progress


def test_a_log_gets_a_line_at_the_start_and_one_at_the_end(capsys):
    """Thousands of quick items give two whole lines without carriage returns, and every item is yielded."""
    assert list(progress(range(5000), 5000, "clips")) == list(range(5000))
    error = capsys.readouterr().err
    first, last = error.splitlines()
    assert first.startswith("clips: 0/5000")
    assert last.startswith("clips: 5000/5000")
    assert error.endswith("\n")
    assert "\r" not in error


def test_a_log_gets_more_lines_when_the_interval_has_passed(capsys, monkeypatch):
    """With an interval of zero, each item is a line."""
    monkeypatch.setattr(module, "_LOG_SECONDS", 0.0)
    list(progress(range(3), 3, "clips"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines[:4]] == [f"clips: {done}/3" for done in range(4)]


def test_a_terminal_shows_one_moving_line(capsys, monkeypatch):
    """Updates of a terminal overwrite one another; quick work shows nothing."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress(range(3), 3, "clips")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "_TERMINAL_SECONDS", 0.0)
    monkeypatch.setattr("tqdm.std.time", iter(range(0, 1000, 2)).__next__)
    list(progress(range(3), 3, "clips"))
    error = capsys.readouterr().err
    assert error.count("\r") >= 3
    assert error.count("\n") == 1


def test_an_error_in_the_work_ends_the_line(capsys):
    """An error message after an interrupted step starts on a line of its own."""

    def work():
        yield 1
        raise InputError

    with pytest.raises(InputError):
        list(progress(work(), 2, "clips"))
    assert capsys.readouterr().err.endswith("\n")
