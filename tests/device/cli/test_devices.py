"""Tests of `earshot devices`."""

import json
import sys

import pytest

from device.audio.devices import InputDevice
from device.cli import devices as devices_command
from device.cli.main import main

DEVICES = [
    InputDevice(0, "HDA Intel: ALC (hw:0,0)", "", 2, 44100, is_default=True, rates=(48000, 44100)),
    InputDevice(3, "USB PnP Sound Device: Audio (hw:1,0)", "0d8c:0014", 1, 48000, is_default=False),
]


@pytest.fixture
def plugged_in(monkeypatch):
    """Simulate two microphones, whose capture program reports that they are busy."""
    header = {"state": "busy", "message": "microphone cannot be opened. Close other programs that record from it"}
    program = [sys.executable, "-c", f"print({json.dumps(header)!r})"]
    monkeypatch.setattr(devices_command, "input_devices", lambda: DEVICES)
    monkeypatch.setattr(devices_command, "capture_command", lambda _name: program)


def test_json_has_the_facts_of_each_microphone(plugged_in, capsys):
    """Each microphone is one object with its name, ids, rates, and whether `auto` chooses it."""
    assert main(["devices", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "name": "HDA Intel: ALC (hw:0,0)",
        "usb_id": None,
        "channels": 2,
        "sample_rate": 44100,
        "rates": [48000, 44100],
        "auto": False,
    }
    assert (second["usb_id"], second["rates"], second["auto"]) == ("0d8c:0014", [], True)


def test_json_has_the_measurement(plugged_in, capsys):
    """With --meter, each object also has the diagnosis and the levels, null without sound."""
    assert main(["devices", "--meter", "5", "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        content = json.loads(line)
        assert content["state"] == "busy"
        assert "Close other programs" in content["message"]
        assert (content["quietest_dbfs"], content["loudest_dbfs"]) == (None, None)


def test_without_a_microphone_json_is_empty(monkeypatch, capsys):
    """Without a microphone, stdout is empty, and stderr has one line with the cure."""
    monkeypatch.setattr(devices_command, "input_devices", list)
    assert main(["devices", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ("earshot: no microphone found. Plug one in, or close the program that records from it\n")
