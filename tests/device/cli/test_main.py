"""Tests of the `earshot` command: output, exit codes, signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from support import free_port
from tiny_bundle import write_tiny_bundle

from device.cli.main import main


def earshot(*arguments, **environment):
    """Run the command as a process, and return exit code, output, and the lines on stderr."""
    command = [sys.executable, "-m", "device", *map(str, arguments)]
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.fixture
def tone_file(tmp_path):
    """Write one second of a tone as a WAV file."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.sin(np.arange(44100) / 10) / 3, 44100)
    return path


def test_classify_prints_one_json_object_a_file(bundle_path, tone_file, capsys):
    """Each file is one line with label, confidence and every score; 44.1 kHz is resampled."""
    assert main(["classify", str(tone_file), str(tone_file), "--json", "--bundle", str(bundle_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    result = json.loads(lines[0])
    assert list(result) == ["file", "label", "confidence", "scores", "taught", "audioset"]
    assert result["file"] == str(tone_file)
    assert len(result["scores"]) == 10
    assert result["confidence"] == max(result["scores"].values())
    assert result["label"] in {*result["scores"], "unknown"}


def test_classify_lists_audioset_classes(tone_file, tmp_path, capsys):
    """With the AudioSet network, each line contains the five likeliest classes, the likeliest first."""
    folder = write_tiny_bundle(tmp_path / "bundle")
    assert main(["classify", str(tone_file), "--json", "--bundle", str(folder)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["file", "label", "confidence", "scores", "taught", "audioset"]
    assert list(result["scores"]) == ["low", "high"]
    probabilities = list(result["audioset"].values())
    assert len(probabilities) == 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert result["audioset"]["Typewriter"] == pytest.approx(0.88, abs=0.01)


def test_classify_continues_after_a_bad_file(bundle_path, tone_file, tmp_path, capsys):
    """A bad file is one line on stderr; the others are classified, and the exit code is 2."""
    (tmp_path / "bad.wav").write_text("no sound")
    assert main(["classify", str(tmp_path / "bad.wav"), str(tone_file), "--bundle", str(bundle_path)]) == 2
    output = capsys.readouterr()
    assert "tone.wav: " in output.out
    (line,) = output.err.splitlines()
    assert "bad.wav: not a sound file" in line


def test_gate_prints_spans(demo_recording, capsys):
    """The spans of the demo's recording are printed in seconds, with the reason."""
    assert main(["gate", str(demo_recording), "--json"]) == 0
    spans = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(list(span) == ["file", "start_seconds", "end_seconds", "reason"] for span in spans)
    assert any(span["start_seconds"] <= 29.3 <= span["end_seconds"] for span in spans)
    assert main(["gate", str(demo_recording)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(spans)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["classify", "{tmp}/text.wav"], 2, "text.wav: not a sound file"),
        (["classify", "{tmp}/empty.wav"], 2, "empty.wav: holds no sound"),
        (["classify", "{tmp}/nowhere.wav"], 2, "nowhere.wav: no such file"),
        (["run", "--input", "{tmp}/text.wav"], 2, "text.wav: not a sound file"),
        (["run", "--input", "{tmp}"], 2, "empty.wav: holds no sound"),
        (["classify", "{tone}", "--bundle", "{tmp}/nowhere"], 78, "no bundle at"),
        (["classify", "{tone}", "--bundle", "{tmp}/flipped"], 78, "bundle refused"),
        (["run", "--input", "{tone}", "--set", "mqtt.prot=1"], 78, "mqtt.prot: no such key. Did you mean port?"),
        (["run", "--input", "{tone}", "--set", "events.threshold=2"], 78, "events.threshold: is 2, must be"),
        (["run", "--input", "{tone}", "--set", "events.thresholds.siren=2"], 78, "events.thresholds.siren: is 2"),
        (["run", "--input", "{tone}", "--set", "events.thresholds.sirens=0.5"], 78, "Did you mean siren?"),
        (["run", "--input", "{tone}", "--set", "mqtt"], 78, "must be key.path=value"),
        (["run", "-c", "{tmp}/nowhere.yaml"], 78, "nowhere.yaml: cannot be read"),
        (["events", "--set", "mqtt.port={free}"], 69, "does not answer"),
        (
            ["events", "--set", "mqtt.host=no.such.host.invalid"],
            69,
            "no.such.host.invalid:1883 has a name that cannot be resolved",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_clear_line(bundle_path, tone_file, tmp_path, arguments, exit_code, message):
    """Each fault is one line with place, fault and cure, and has its exit code; there is no traceback."""
    (tmp_path / "text.wav").write_text("this is not sound")
    soundfile.write(tmp_path / "empty.wav", np.empty(0), 16000)
    flipped = shutil.copytree(bundle_path, tmp_path / "flipped") / "inception.tflite"
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    values = {"tmp": tmp_path, "tone": tone_file, "free": free_port()}
    code, _, lines = earshot(*(argument.format(**values) for argument in arguments), STATE_DIRECTORY=str(tmp_path))
    assert code == exit_code
    (line,) = lines
    assert message in line
    assert line.startswith("earshot: ")


def test_a_file_name_that_is_not_utf_8_is_printed(bundle_path, tone_file):
    """The bytes that are not UTF-8 are escaped."""
    renamed = tone_file.with_name(os.fsdecode(b"\xff.wav"))
    shutil.copy(tone_file, renamed)
    code, output, _ = earshot("classify", renamed, "--bundle", bundle_path)
    assert code == 0
    assert "\\udcff.wav: " in output


def test_wrong_arguments_end_with_exit_code_2():
    """Wrong options, commands and values, and a missing command, are wrong arguments."""
    assert earshot("run", "--sped", "max")[0] == 2
    assert earshot("listen-to-me")[0] == 2
    assert earshot("run", "--input", "-", "--input-rate", "44.1k")[0] == 2
    assert "must be a sample rate from 8000" in earshot("run", "--input", "-", "--input-rate", "9" * 5000)[2][-1]
    assert earshot()[0] == 2


def test_events_without_a_broker_stay_in_the_outbox(demo_recording, bundle_path, tmp_path, monkeypatch, capsys):
    """After a recording without a broker there is one line with the cure, exit code 69, and events in the outbox."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("device.service.daemon._DELIVERY_SECONDS", 1.0)
    code = main(
        ["run", "--input", str(demo_recording), "--speed", "max", "--exit-at-end", "--set", f"mqtt.port={free_port()}"]
    )
    assert code == 69
    (line,) = capsys.readouterr().err.splitlines()
    assert "could not be delivered and wait in" in line
    assert (tmp_path / "outbox.sqlite").stat().st_size > 0


def test_trace_logs_refusals_and_the_gate(mosquitto, demo_recording, bundle_path, tmp_path):
    """`--trace` logs openings of the gate and the reason of each refusal; without it, neither is logged."""
    arguments = [
        "run",
        "--input",
        demo_recording,
        "--speed",
        "max",
        "--exit-at-end",
        "--quiet",
        "--set",
        "events.threshold=1",
    ]
    arguments += ["--set", f"mqtt.port={mosquitto.port}"]
    code, _, lines = earshot(*arguments, "--trace", STATE_DIRECTORY=str(tmp_path))
    assert code == 0
    assert any("no event: dog_bark" in line and "below its threshold of 1.00" in line for line in lines)
    assert any("gate: was shut for" in line for line in lines)
    assert any("gate: was open (level) for" in line for line in lines)
    _, _, lines = earshot(*arguments, STATE_DIRECTORY=str(tmp_path))
    assert not any("gate" in line or "no event" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_daemon_cleanly(demo_recording, bundle_path, tmp_path, mosquitto, number):
    """Ctrl-C and SIGTERM end a running daemon within 20 s, with exit code 0 and without a traceback."""
    command = [sys.executable, "-m", "device", "run", "--input", demo_recording, "--set", f"mqtt.port={mosquitto.port}"]
    daemon = subprocess.Popen(
        command, env={**os.environ, "STATE_DIRECTORY": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    )
    while "connected to the broker" not in daemon.stderr.readline():
        assert daemon.poll() is None
    time.sleep(0.5)
    daemon.send_signal(number)
    _, rest = daemon.communicate(timeout=20)
    assert daemon.returncode == 0
    assert "Traceback" not in rest


@pytest.mark.parametrize("files", [1, 2])
def test_a_closed_pipe_is_no_fault(bundle_path, tone_file, files):
    """`| head` closes the pipe before or between two lines: the command ends without output on stderr."""
    command = [sys.executable, "-u", "-m", "device", "classify", "--bundle", bundle_path, *[tone_file] * files]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


def test_devices_needs_no_bundle(capsys):
    """`earshot devices` works without a bundle, and also on a machine without a microphone."""
    assert main(["devices"]) == 0


def test_help_and_version(capsys):
    """`--help` lists the commands, `--version` prints the version."""
    for arguments, text in ((["--help"], "classify"), (["--version"], "earshot 0.")):
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        assert exit_info.value.code == 0
        assert text in capsys.readouterr().out
