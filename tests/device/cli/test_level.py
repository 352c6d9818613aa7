"""Tests of `earshot level` on sound files."""

import json
import signal
import subprocess
import sys

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
        (["noise.wav", "--spl", "94"], "belongs to `earshot level calibrate`"),
        (["noise.wav", "--input", "noise.wav"], "two sources"),
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


def test_a_stream_has_a_line_for_each_second(tmp_path):
    """Raw samples on standard input have an object for each second, and one for all of them at the end."""
    samples = (32768 * np.concatenate([tone(seconds=2), tone(seconds=1, amplitude=0.01)])).astype("<i2")
    command = [sys.executable, "-m", "device", "level", "--input", "-", "--json"]
    done = subprocess.run(command, input=samples.tobytes(), capture_output=True, timeout=60, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seconds"] for line in lines] == pytest.approx([1, 1, 1, 3], abs=0.05)
    assert [line["laeq_db"] for line in lines[:2]] == pytest.approx([-23.0, -23.0], abs=0.11)
    assert lines[2]["laeq_db"] < -35


def test_the_microphone_is_measured_and_calibrated(sound_server, tmp_path):
    """A tone at the microphone calibrates it; afterwards its level is that of the calibrator, until Ctrl-C."""
    write(tmp_path / "tone.wav", tone(48000, seconds=60), 48000)
    player = subprocess.Popen(
        ["paplay", "--device=usb_microphone", tmp_path / "tone.wav"], env=sound_server.environment
    )
    environment = {**sound_server.environment, "STATE_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-m", "device", "level"]
    try:
        calibrate = [*command, "calibrate", "--spl", "94"]
        subprocess.run(calibrate, env=environment, check=True, timeout=60, capture_output=True)
        meter = subprocess.Popen([*command, "--json"], env=environment, stdout=subprocess.PIPE, text=True)
        second = json.loads(meter.stdout.readline())
        meter.send_signal(signal.SIGINT)
        rest, _ = meter.communicate(timeout=30)
    finally:
        player.kill()
        player.wait()
    assert meter.returncode == 0
    assert second["calibrated"] is True
    assert json.loads(rest.splitlines()[-1])["laeq_db"] == pytest.approx(94.0, abs=0.3)


@pytest.mark.parametrize("level", ["x", "nan", "20", "170"])
def test_the_level_of_a_calibrator_is_plausible(level, capsys):
    """A level that no calibrator has is refused by the parser."""
    with pytest.raises(SystemExit) as ended:
        main(["level", "calibrate", "--spl", level])
    assert ended.value.code == 2
    assert "from 30 to 160" in capsys.readouterr().err
