"""Tests of `earshot labels`."""

import json

import pytest
from tiny_bundle import write_tiny_bundle

from device.cli.main import main


@pytest.fixture
def labels(tmp_path, capsys):
    """Return a function that runs the command on a bundle with the AudioSet network, and returns code and output."""
    folder = write_tiny_bundle(tmp_path / "bundle")

    def run(*arguments):
        code = main(["labels", "--set", f"model.bundle={folder}", *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


def test_labels_come_first_with_their_thresholds(labels):
    """Labels are followed by all AudioSet classes, which become no events, and the alarm patterns."""
    code, lines, _ = labels()
    assert code == 0
    assert lines[:3] == [
        "low (label, event from 0.5)",
        "high (label, event from 0.5)",
        "Hum (AudioSet class, no event)",
    ]
    assert len(lines) == 2 + 527 + 2
    assert lines[-2] == "smoke_alarm_t3 (alarm pattern, event from 0.8)"


def test_thresholds_are_those_of_the_config(labels):
    """A threshold of the config replaces the bundle's, and JSON contains null for a class without events."""
    _, lines, _ = labels("--set", "events.thresholds={high: 0.7}", "--json", "--search", "h")
    names = [json.loads(line) for line in lines]
    assert names[0] == {"label": "high", "vocabulary": "bundle", "threshold": 0.7}
    assert names[1] == {"label": "Hum", "vocabulary": "audioset", "threshold": None}


def test_configured_classes_are_marked_with_their_thresholds(labels):
    """A class in `events.audioset` becomes an event from its threshold on, in text and JSON; the others become none."""
    setting = ("--set", "events.audioset={Typewriter: 0.4}")
    _, lines, _ = labels(*setting)
    assert [line for line in lines if "AudioSet class, event" in line] == [
        "Typewriter (AudioSet class, event from 0.4)"
    ]
    _, (line,), _ = labels(*setting, "--json", "--search", "typewriter")
    assert json.loads(line) == {"label": "Typewriter", "vocabulary": "audioset", "threshold": 0.4}


def test_a_search_ignores_case(labels):
    """`--search` selects the names that contain a text, in any case."""
    assert labels("--search", "TYPE")[1] == ["Typewriter (AudioSet class, no event)"]


def test_a_mistyped_search_gets_a_suggestion(labels):
    """Without a name that contains the text, the error has the most similar names, or the command that lists all."""
    code, lines, error = labels("--search", "typewritter")
    assert (code, lines) == (2, [])
    assert "no label and no AudioSet class contains it. Did you mean 'Typewriter'?" in error
    assert "Run `earshot labels` for all names" in labels("--search", "qqqq")[2]


def test_an_unknown_label_in_the_config_is_reported(labels):
    """A threshold of a label that the bundle lacks is the daemon's own error."""
    code, _, error = labels("--set", "events.thresholds={owl: 0.7}")
    assert code == 78
    assert "events.thresholds.owl" in error


def test_a_bundle_of_format_1_has_no_classes(format_1_path, capsys):
    """Without the AudioSet network, labels and alarm patterns are listed."""
    assert main(["labels", "--set", f"model.bundle={format_1_path}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10 + 2
