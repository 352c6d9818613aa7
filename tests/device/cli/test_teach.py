"""Tests of `earshot teach` and `earshot untaught`, and of taught labels in `classify` and `labels`."""

import json
import threading

import pytest
import soundfile
from taught_sounds import RATE, beeps, clicks, write_clips

from device.cli.check import DaemonChecks
from device.cli.main import main
from device.clips.store import ClipFolder

LIGHT = "--set=model.bundle=models/urbansound8k-light"
EVENT_ID = "01a203db-acf5-764e-a16f-{:012d}"


@pytest.fixture(scope="module")
def taught_state(tmp_path_factory):
    """Return a state directory with the label `timer`, taught by the command from two files and a kept clip."""
    state = tmp_path_factory.mktemp("state")
    ClipFolder(state / "clips").save(EVENT_ID.format(7), 1000.0, "siren", beeps(7), RATE)
    paths = write_clips(state / "sounds", beeps, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(state))
        assert main(["teach", "timer", *map(str, paths), "000000000007", LIGHT, "--json"]) == 0
    return state


@pytest.fixture
def earshot(taught_state, monkeypatch, capsys):
    """Return a function that runs a command with the taught label; it returns code, lines of output and errors."""
    monkeypatch.setenv("STATE_DIRECTORY", str(taught_state))

    def run(*words):
        code = main([str(word) for word in (*words, LIGHT)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


def test_classify_prints_taught_labels(earshot, tmp_path):
    """The decision may be a taught label; its probability is beside the scores of the bundle's labels."""
    (ring,), (click,) = write_clips(tmp_path, beeps, 1, first=50), write_clips(tmp_path, clicks, 1, first=50)
    _, lines, _ = earshot("classify", ring, click, "--json")
    first, second = map(json.loads, lines)
    assert first["label"] == "timer"
    assert first["confidence"] == first["taught"]["timer"] >= 0.5
    assert len(first["scores"]) == 10
    assert second["label"] != "timer"
    assert second["taught"]["timer"] < 0.5


def test_each_sound_and_window_has_its_taught_label(earshot, tmp_path):
    """In a recording of more than 10 s, the sound of the timer has the label, in its own time."""
    silence = (beeps(0) * 0)[:RATE]
    hiss = clicks(9)
    hiss = (hiss.clip(-40, 40)).astype("int16")
    parts = [hiss, hiss, hiss, beeps(51), hiss, hiss, hiss, silence]
    path = tmp_path / "kitchen.wav"
    soundfile.write(path, [sample for part in parts for sample in part], RATE)
    _, lines, _ = earshot("classify", path, "--json")
    answers = [json.loads(line) for line in lines]
    assert any(each["label"] == "timer" and 5 < each["start_seconds"] < 8 for each in answers)
    _, lines, _ = earshot("classify", path, "--json", "--windows")
    assert sum(json.loads(line)["label"] == "timer" for line in lines) >= 1


def test_labels_lists_taught_labels(earshot):
    """A taught label has its vocabulary and threshold."""
    _, lines, _ = earshot("labels", "--search", "timer")
    assert lines[0] == "timer (taught label, event from 0.5)"
    _, lines, _ = earshot("labels", "--search", "timer", "--json")
    assert json.loads(lines[0]) == {"label": "timer", "vocabulary": "taught", "threshold": 0.5}


def check_of_the_bundle():
    """Return state and message of the check of the bundle, without the checks after it."""
    results = DaemonChecks(None, [LIGHT.removeprefix("--set=")], threading.Event()).results()
    result = next(result for result in results if result.check == "bundle")
    return result.state, result.message


def test_check_names_taught_labels_and_their_faults(taught_state, tmp_path, monkeypatch):
    """The check of the bundle lists taught labels; a damaged file is a warning with its cure."""
    monkeypatch.setenv("STATE_DIRECTORY", str(taught_state))
    state, message = check_of_the_bundle()
    assert (state, message[-7:]) == ("ok", ", timer")
    (tmp_path / "taught.npz").write_bytes(b"PK")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    state, message = check_of_the_bundle()
    assert state == "warning"
    assert "taught.npz: damaged, or no file of taught labels" in message


def test_the_result_names_figures_and_the_reload(earshot, tmp_path):
    """The line for a person has clips, recall, false alarms and time; a running daemon is mentioned."""
    code, (line,), _ = earshot("teach", "--not", "siren", *write_clips(tmp_path, beeps, 3, first=60))
    assert code == 0
    assert line.startswith("sounds that are not siren: learned from 3 clips. Left out in turn, 3 of 3 are recognized")
    assert "Known sounds of siren that would be lost: " in line
    assert line.endswith("A daemon that listens to a microphone uses it within 10 s, by a reload")
    assert earshot("untaught", "siren")[0] == 0


def test_an_export_is_imported_elsewhere(earshot, tmp_path, monkeypatch):
    """The label is taught in the other state directory."""
    assert earshot("teach", "--export", tmp_path / "export.npz")[0] == 0
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "other"))
    code, (line,), _ = earshot("teach", "--import", tmp_path / "export.npz")
    assert (code, line[:16]) == (0, "imported: timer.")
    assert earshot("labels", "--search", "timer")[1]
    code, (line,), _ = earshot("untaught", "timer", "--json")
    assert json.loads(line) == {"name": "timer", "clips": 3}
    assert earshot("untaught", "timer")[::2] == (2, "earshot: 'timer': not taught. Taught are: nothing\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("teach",), "teach: a label and clips are missing"),
        (("teach", "owl"), "teach: a label and clips are missing"),
        (("teach", "owl", "missing.wav"), "missing.wav: no such file. Check the path"),
        (("teach", "My Owl", "missing.wav"), "Use my_owl"),
        (("teach", "siren", "missing.wav"), "siren: is a label of the bundle"),
        (("teach", "--not", "syren", "missing.wav"), "teach --not syren: no such label. Did you mean siren?"),
        (("teach", "--export", "a.npz", "--import", "b.npz"), "--export and --import stand alone"),
        (("teach", "owl", "--export", "a.npz"), "--export and --import stand alone"),
        (("teach", "--import", "missing.npz"), "missing.npz: no such file, or nothing in it"),
        (("teach", "doorbell", "x.wav", "--set=events.audioset={Doorbell: 0.3}"), "events.audioset has this class"),
        (("untaught", "owl"), "'owl': not taught. Taught are: timer"),
        (("labels", "--set=events.thresholds={timer: 0.7}"), "is a taught label. Set its threshold with command"),
    ],
)
def test_wrong_arguments_are_one_line_with_a_cure(earshot, words, message):
    """The exit code is 2, or 78 for a setting, and the error is one line."""
    code, _, error = earshot(*words)
    assert code == (78 if words[0] == "labels" else 2)
    assert message in error
    assert len(error.splitlines()) == 1
