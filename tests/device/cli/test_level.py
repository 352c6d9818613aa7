"""Tests of `earshot level` on sound files."""

import json

import numpy as np
import pytest
import soundfile

from device.cli.main import main

FIELDS = {"laeq_db", "lamax_db", "la10_db", "la50_db", "la90_db", "lceq_db", "seconds", "calibrated"}


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Use a state directory of this test's own."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def write(path, samples, rate=16000):
    soundfile.write(path, samples, rate)
    return str(path)


def tone(rate=16000, seconds=7, amplitude=0.1, frequency=1000.0):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(rate * seconds) / rate)


def measure(capsys, *arguments):
    """Run the command with --json, and return its object."""
    assert main(["level", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_a_file_of_any_rate_has_its_level(rate, tmp_path, capsys):
    """A tone of 1 kHz has the level of its samples, at any sample rate; the object has exactly the promised fields."""
    level = measure(capsys, write(tmp_path / "tone.wav", tone(rate, seconds=3), rate))
    assert set(level) == FIELDS
    assert level["laeq_db"] == level["lceq_db"] == level["lamax_db"] == level["la50_db"] == -23.0
    assert level["seconds"] == pytest.approx(3.0, abs=0.01)
    assert level["calibrated"] is False


def test_high_frequencies_count_in_a_file_of_a_high_rate(tmp_path, capsys):
    """A tone of 10 kHz, above half of the device's rate, is measured in a file of 48 kHz: A weighting is -2.5 dB."""
    level = measure(capsys, write(tmp_path / "tone.wav", tone(48000, frequency=10000.0), 48000))
    assert level["laeq_db"] == pytest.approx(-25.5, abs=0.2)


def test_a_calibrated_microphone_measures_decibels(tmp_path, capsys):
    """After the calibration with a tone of 94 dB, that tone has 94 dB(A); before, the text contains dBFS(A)."""
    path = write(tmp_path / "tone.wav", tone())
    assert main(["level", path]) == 0
    captured = capsys.readouterr()
    assert "dBFS(A)" in captured.out
    assert "uncalibrated" in captured.err
    offset = measure(capsys, "calibrate", "--spl", "94", "--input", path)["calibration_db"]
    assert offset == pytest.approx(117.0, abs=0.05)
    level = measure(capsys, path)
    assert (level["laeq_db"], level["calibrated"]) == (94.0, True)
    assert main(["level", path]) == 0
    captured = capsys.readouterr()
    assert "LAeq 94.0" in captured.out
    assert "dBFS" not in captured.out + captured.err
    assert measure(capsys, path, "--set", "level.calibration_db=110")["laeq_db"] == 87.0


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["calibrate"], "--spl is missing"),
        (["calibrate", "--spl", "94", "--input", "noise.wav"], "no tone"),
        (["noise.wav", "--spl", "94"], "belong to `earshot level calibrate`"),
        (["absent.wav"], "no such file"),
        (["short.wav"], "less than 50 ms"),
    ],
)
def test_faults_have_a_message(arguments, fault, tmp_path, monkeypatch, capsys):
    """Each fault ends the command with code 2, one line and no traceback."""
    monkeypatch.chdir(tmp_path)
    write("noise.wav", np.random.default_rng(0).normal(0, 0.05, 7 * 16000))
    write("short.wav", np.zeros(100))
    assert main(["level", *arguments]) == 2
    captured = capsys.readouterr()
    assert fault in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("level", ["x", "nan", "20", "170"])
def test_the_level_of_a_calibrator_is_plausible(level, capsys):
    """A level that no calibrator has is refused by the parser."""
    with pytest.raises(SystemExit) as ended:
        main(["level", "calibrate", "--spl", level])
    assert ended.value.code == 2
    assert "from 30 to 160" in capsys.readouterr().err
