"""Tests of commands on sound files: long recordings, impossible files, a recording without an event."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from tiny_bundle import write_tiny_bundle
from uuid6 import uuid7

from device.cli.main import main
from device.clips.store import ClipFolder

RATE = 16000


@pytest.fixture
def bundle(tmp_path):
    """Write a bundle with tiny networks."""
    return str(write_tiny_bundle(tmp_path / "bundle"))


@pytest.fixture
def street(tmp_path):
    """Write a recording of 20 s of faint noise with tones at 5 s and 13 s."""
    samples = np.random.default_rng(0).normal(0, 1e-4, 20 * RATE)
    for at in (5, 13):
        samples[at * RATE : (at + 1) * RATE] += np.sin(np.arange(RATE) / 3) / 3
    path = tmp_path / "street.flac"
    soundfile.write(path, samples, RATE)
    return str(path)


def objects(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_long_recording_has_a_line_for_each_sound(bundle, street, capsys):
    """A recording of more than 10 s has a line for each sound, with its times beside the keys of a clip."""
    assert main(["classify", street, "--json", "--bundle", bundle]) == 0
    lines = objects(capsys)
    keys = ["file", "start_seconds", "end_seconds", "label", "confidence", "scores", "taught", "audioset"]
    assert [list(line) for line in lines] == [keys, keys]
    assert [line["start_seconds"] for line in lines] == [pytest.approx(5, abs=0.3), pytest.approx(13, abs=0.3)]
    assert main(["classify", street, "--bundle", bundle]) == 0
    assert capsys.readouterr().out.startswith(f"{street}: 0:00:0")


def test_a_file_of_ten_seconds_is_one_clip(bundle, street, tmp_path, capsys):
    """A file of at most 10 s has one line, whatever is in it."""
    samples, _ = soundfile.read(street)
    for length, keys in ((10 * RATE, 6), (10 * RATE + 1, 8)):
        soundfile.write(tmp_path / "a.wav", samples[:length], RATE)
        assert main(["classify", str(tmp_path / "a.wav"), "--json", "--bundle", bundle]) == 0
        assert [len(line) for line in objects(capsys)] == [keys]


def test_windows_cover_a_file(bundle, street, capsys):
    """`--windows` gives a line for each window of 3 s of the whole file, and the last one ends with the file."""
    assert main(["classify", street, "--windows", "--json", "--bundle", bundle]) == 0
    spans = [(line["start_seconds"], line["end_seconds"]) for line in objects(capsys)]
    assert spans == [*((start, start + 3) for start in range(0, 18, 3)), (17, 20)]


def test_a_long_recording_without_a_sound_is_one_clear_line(bundle, tmp_path, capsys):
    """A recording that never opens the gate has no answer; a line on stderr names the alternative."""
    soundfile.write(tmp_path / "quiet.wav", np.random.default_rng(0).normal(0, 1e-4, 12 * RATE), RATE)
    arguments = ["classify", str(tmp_path / "quiet.wav"), "--bundle", bundle, "--set", "gate.vad_mode=null"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "no sound in it opens the gate. Try --windows" in output.err


def impossible_files(folder):
    """Yield paths that are no sound file, each with words of its error."""
    os.mkfifo(folder / "pipe.wav")
    yield folder / "pipe.wav", "pipe or device"
    yield "https://example.org/a.wav", "an address"
    yield "n" * 300, "too long"
    samples = np.zeros(1000, np.float32)
    samples[500] = np.nan
    soundfile.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    yield folder / "nan.wav", "NaN"
    (folder / "memo.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    yield folder / "memo.m4a", "ffmpeg -i"


@pytest.mark.parametrize("command", [["classify"], ["classify", "--windows"], ["gate"]])
def test_each_impossible_file_is_one_clear_line(bundle, tmp_path, capsys, monkeypatch, command):
    """A pipe, an address, a long name, numbers that are none, and a foreign format are one line, with exit code 2."""
    monkeypatch.setenv("EARSHOT_MODEL__BUNDLE", bundle)
    for path, words in [*impossible_files(tmp_path), (tmp_path, "a folder")]:
        assert main([*command, str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
        assert line.startswith("earshot: ")


def run_command(path, state, *arguments):
    """Run the daemon on a file, and return exit code and log."""
    command = [
        sys.executable,
        "-m",
        "device",
        "run",
        "--speed",
        "max",
        "--exit-at-end",
        "--input",
        str(path),
        *arguments,
    ]
    environment = {**os.environ, "STATE_DIRECTORY": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def test_the_daemon_names_an_impossible_file(tmp_path):
    """`earshot run --input` ends with exit code 2 and one line."""
    for path, words in impossible_files(tmp_path):
        if words in ("pipe or device", "an address"):
            code, lines = run_command(path, tmp_path, "--quiet")
            assert (code, len(lines)) == (2, 1)
            assert words in lines[0]


def test_a_recording_without_an_event_is_explained(tmp_path, bundle, mosquitto):
    """At the end of a recording without an event, the log names its nearest label, score, threshold and gate."""
    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(2 * RATE) / 3) / 3, RATE)
    settings = [f"mqtt.port={mosquitto.port}", f"model.bundle={bundle}", "events.threshold=1", "gate.vad_mode=1"]
    code, lines = run_command(tmp_path / "tone.wav", tmp_path, *(word for each in settings for word in ("--set", each)))
    assert code == 0
    (line,) = [line for line in lines if "no event" in line]
    assert "windows of 1 sounds were classified" in line
    assert "gate vad" in line


def test_a_damaged_clip_is_one_clear_line(tmp_path, monkeypatch, capsys):
    """A damaged clip is listed without its length, and playing it is one line with exit code 2."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    folder, event_id = ClipFolder(tmp_path / "clips"), str(uuid7())
    folder.save(event_id, 1e9, "siren", np.zeros(RATE, np.int16), RATE)
    (clip,) = folder.clips()
    for content in (b"", b"fLaC" + bytes(100), clip.path.read_bytes()[:60]):
        clip.path.write_bytes(content)
        assert main(["clips", "play", event_id]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(clip.path) in line
        assert main(["clips", "list", "--json"]) == 0
        assert objects(capsys)[0]["event_id"] == event_id
