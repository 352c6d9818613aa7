"""Tests of `earshot check`."""

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from support import free_port

from device.audio.capture_process import capture_command, find_capture_process
from device.cli import check as check_command
from device.cli import check_source
from device.cli.main import main
from device.monitoring.system_metrics import Throttling
from device.service.runtime import open_bundle

CHECKS = ["config", "bundle", "speed", "storage", "clock", "heat", "sound access", "microphone", "broker"]
LABEL_STATES = ["sound", "threshold", "cooldown", "enabled"]
STATES = ["status", "health", "listening", "sounding", "today", *LABEL_STATES, "spectrogram", "unknown", "level"]
PUBLISHED = ["event", "backlog", *STATES, "discovery"]
TOPICS = [*(f"publish {kind}" for kind in PUBLISHED), "receive commands", "receive birth"]
BUSY = {"state": "busy", "message": "microphone 'fake' cannot be opened. Close other programs that record from it"}


@pytest.fixture
def microphone(monkeypatch):
    """Return a function that replaces the capture program by one that prints the given header."""

    def set_header(header):
        program = [sys.executable, "-c", f"print({json.dumps(header)!r})"]
        monkeypatch.setattr(check_source, "capture_command", lambda _device, _channels: program)

    # A daemon that runs on this machine would make a missing microphone no fault.
    monkeypatch.setattr(check_source, "find_capture_process", lambda _device: None)
    set_header({"state": "missing", "message": "no microphone matches audio.device 'auto'. Plug it in"})
    return set_header


@pytest.fixture
def check(microphone, capsys, monkeypatch, tmp_path):
    """Return a function that runs `earshot check --json` without a broker.

    It returns the exit code, state and message by check, and all results.
    """
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))

    def run(*settings, arguments=()):
        overrides = [f"--set={setting}" for setting in (f"mqtt.port={free_port()}", *settings)]
        code = main(["check", "--json", *arguments, *overrides])
        results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return code, {each["check"]: (each["state"], each["message"]) for each in results}, results

    return run


def test_all_checks_pass_with_microphone_and_broker(sound_server, mosquitto, tmp_path):
    """With a tone in the microphone and a broker, each check is one line, none is a fault, and the exit code is 0."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000) * 8000).astype(np.int16)
    soundfile.write(tmp_path / "tone.wav", np.tile(tone, 60), 48000)
    player = subprocess.Popen(
        ["paplay", "--device=usb_microphone", tmp_path / "tone.wav"], env=sound_server.environment
    )
    try:
        done = subprocess.run(
            [sys.executable, "-m", "device", "check", "--set", f"mqtt.port={mosquitto.port}"],
            env={**sound_server.environment, "STATE_DIRECTORY": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        player.kill()
        player.wait()
    lines = [re.fullmatch(r"\[(\w+)\] +([a-z ]+): (.+)", line) for line in done.stdout.splitlines()]
    assert [line[2] for line in lines] == CHECKS + TOPICS
    assert "fault" not in [line[1] for line in lines], done.stdout
    assert done.returncode == 0
    assert done.stderr == ""
    assert "works, -" in done.stdout
    assert "-15 dBFS" in done.stdout, "a sine of amplitude 8000"


def test_all_faults_are_reported_together(check):
    """Faults of bundle, microphone and broker each have their cure; the exit code is that of the bundle's fault."""
    code, found, _ = check("model.bundle=nowhere")
    assert code == 78
    assert list(found) == CHECKS
    assert found["bundle"][0] == "fault"
    assert "Set model.bundle" in found["bundle"][1]
    assert found["speed"] == ("skipped", "needs a bundle without faults")
    assert found["microphone"] == ("fault", "missing: no microphone matches audio.device 'auto'. Plug it in")
    assert re.search(r"does not answer .* Start it, or set mqtt.host", found["broker"][1])


def test_a_missing_microphone_or_broker_has_exit_code_69(check):
    """Without faults of config and bundle, a missing microphone and broker end the command with 69."""
    code, found, _ = check()
    assert code == 69
    assert [name for name, (state, _) in found.items() if state == "fault"] == ["microphone", "broker"]


def test_each_fault_of_the_config_has_a_line(check):
    """Each fault of the config is a result; checks that need the config are skipped, and the others are made."""
    code, found, results = check("events.threshold=2", "gate.vad_mode=7", "model.bundel=x")
    assert code == 78
    config = [each["message"] for each in results if each["check"] == "config"]
    assert len(config) == 3
    assert any("model.bundel: no such key. Did you mean bundle?" in message for message in config)
    assert {name for name, (state, _) in found.items() if state == "skipped"} >= {"bundle", "microphone", "broker"}
    assert found["storage"][0] == "ok"


def test_a_threshold_without_a_label_is_a_fault(check):
    """A label in `events.thresholds` that the bundle does not have is a fault, as for the daemon."""
    code, found, _ = check("events.thresholds.sirens=0.5")
    assert code == 78
    assert "Did you mean siren?" in found["bundle"][1]


@pytest.mark.parametrize("state", ["busy", "missing"])
def test_a_microphone_in_use_by_the_daemon_is_no_fault(check, microphone, monkeypatch, state):
    """ALSA admits one program: the check passes if that is the daemon, and fails if it is another program."""
    microphone(BUSY | {"state": state})
    assert check()[1]["microphone"] == ("fault", f"{state}: {BUSY['message']}")
    monkeypatch.setattr(check_source, "find_capture_process", lambda device: 4711 if device == "auto" else None)
    state, message = check()[1]["microphone"]
    assert state == "ok"
    assert "in use by the daemon (process 4711)" in message
    assert check("audio.device=other")[1]["microphone"][0] == "fault"


def test_the_capture_process_is_found_by_its_arguments(tmp_path):
    """The microphone in its arguments must match; other programs, and processes that have ended, are ignored."""

    def process(number, *arguments):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_bytes(b"".join(argument.encode() + b"\0" for argument in arguments))

    process(1, "/sbin/init")
    process(20, "/opt/other/python", *capture_command("auto")[1:])
    process(3, "vim", "device.audio.capture_worker", "hw:1")
    (tmp_path / "40").mkdir()
    assert find_capture_process("auto", tmp_path) == 20
    assert find_capture_process("hw:1", tmp_path) is None


def test_a_state_directory_that_cannot_be_written_is_a_fault(check, monkeypatch, tmp_path):
    """A folder below a file cannot be created; where it can, the check leaves no file behind."""
    assert check()[1]["storage"][0] == "ok"
    assert not (tmp_path / "state").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))
    state, message = check()[1]["storage"]
    assert state == "fault"
    assert "Make it writable, or set STATE_DIRECTORY" in message


def test_a_full_disk_is_a_fault(check):
    """Less free space than `outbox.free_megabytes` is a fault."""
    state, message = check("outbox.free_megabytes=1000000")[1]["storage"]
    assert state == "fault"
    assert "Free some space" in message


def test_a_machine_that_is_too_slow_is_a_fault(check, monkeypatch):
    """A window that takes longer than the hop is a fault, with its cures."""

    def open_slow(path, threads):
        bundle, ensemble = open_bundle(path, threads)
        classify = ensemble.classify_by_all
        ensemble.classify_by_all = lambda samples: time.sleep(0.15) or classify(samples)
        return bundle, ensemble

    monkeypatch.setattr(check_command, "open_bundle", open_slow)
    code, found, _ = check("window.hop_seconds=0.1")
    assert code == 69
    assert found["speed"][0] == "fault"
    expected = r"\d+ ms for a window in ai-edge-litert [\d.]+, .* the hop of 0.1 s.*--backbone"
    assert re.search(expected, found["speed"][1])


@pytest.mark.parametrize(
    ("celsius", "throttled", "state", "text"),
    [
        (None, None, "ok", "no sensor"),
        (50.4, Throttling((), ()), "ok", "50 °C"),
        (85.0, None, "warning", "heat sink"),
        (60.0, Throttling(("frequency_capped",), ("frequency_capped",)), "warning", "heat sink"),
        (60.0, Throttling((), ("throttled",)), "warning", "since boot"),
        (60.0, Throttling((), ("under_voltage", "throttled")), "warning", "supply"),
    ],
)
def test_heat_and_a_weak_supply_are_warnings(check, monkeypatch, celsius, throttled, state, text):
    """The daemon works, so a warning has no exit code of its own; it has its cure."""
    monkeypatch.setattr(check_command, "temperature_celsius", lambda: celsius)
    monkeypatch.setattr(check_command, "throttling", lambda: throttled)
    code, found, _ = check()
    assert code == 69
    assert found["heat"][0] == state
    assert text in found["heat"][1]


def test_sound_devices_without_access_are_a_fault(check, monkeypatch, tmp_path):
    """The cure is the group `audio`; sound devices that only play are ignored."""
    monkeypatch.setattr(check_source, "_SOUND_DEVICES", tmp_path)
    (tmp_path / "pcmC0D0p").touch()
    assert check()[1]["sound access"][0] == "skipped"
    (tmp_path / "pcmC1D0c").touch()
    assert check()[1]["sound access"] == ("ok", "1 sound device may be opened")
    monkeypatch.setattr("os.access", lambda *_: False)
    state, message = check()[1]["sound access"]
    assert state == "fault"
    assert "pcmC1D0c: this user may not open it. Run: sudo usermod -aG audio" in message
