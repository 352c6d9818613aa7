import re
import subprocess
import sys
import threading
from dataclasses import astuple

import numpy as np
import pytest
import soundfile
from hostile_source import capture_program

from device.audio.capture_kind import Capture
from device.audio.level_meter import read_levels
from device.cli.devices import describe_reading
from device.cli.main import main

RATE = 16000
LOUD = "sound([3277, 3277, -3277, -3277])"
QUIET = "sound([33, 33, -33, -33])"
PAUSE = "time.sleep(0.5)"  # for the reader: the queue holds 5 s


def readings(*steps, seconds=5, stop=None, **header):
    """Return the readings of a capture process for tests; `sound` in a step writes three seconds of a stereo wave."""
    header = header or {"name": "fake", "sample_rate": RATE, "channels": 2}
    sound = f"def sound(wave): send(array.array('h', wave * {3 * RATE // 2}).tobytes())"
    command = capture_program("import array", sound, *steps, **header)
    return list(read_levels(Capture(command), seconds, stop or threading.Event()))


def test_the_level_follows_the_sound():
    """A reading has the latest, the lowest and the highest level in dBFS; the meter ends after the given time."""
    read = readings(LOUD, PAUSE, QUIET, PAUSE, LOUD, "time.sleep(60)", seconds=6)
    assert astuple(read[0].levels) == pytest.approx((-20, -20, -20), abs=0.1)
    assert astuple(read[-1].levels)[1:] == pytest.approx((-60, -20), abs=0.1)
    assert min(reading.levels.latest for reading in read) == pytest.approx(-60, abs=0.1)
    assert read[-1].state == "ok"


@pytest.mark.parametrize(
    ("wave", "state", "cure"),
    [
        ("[0] * 4", "silent", "muted"),
        ("[7] * 4", "dc", "cable"),
        ("[32767, 32767, -32768, -32768]", "clipping", "gain"),
    ],
)
def test_a_fault_is_printed_beside_the_level(wave, state, cure):
    """The line of a microphone contains the state of the diagnosis and its cure."""
    last = readings(f"sound({wave})", PAUSE, f"sound({wave})")[-1]
    assert last.state == state
    assert re.fullmatch(rf"\[#*-*\] .* dBFS  {state}  fake: .*{cure}.*", describe_reading("fake", last))


def test_a_microphone_that_delivers_nothing_has_no_level():
    """A microphone in use, and one that ends early, each have a line with the fault and without a level."""
    (busy,) = readings(state="busy", message="microphone 'fake' cannot be opened. Close other programs")
    assert describe_reading("fake", busy).startswith("no sound  busy  fake: microphone 'fake' cannot be opened")
    (gone,) = readings()
    assert (gone.state, gone.levels) == ("stalled", None)


def test_stop_ends_the_meter():
    """`stop` ends the meter at once, even without sound."""
    stop = threading.Event()
    stop.set()
    assert readings("time.sleep(60)", stop=stop) == []


def test_devices_shows_a_level_for_each_microphone(sound_server, tmp_path):
    """`earshot devices --meter` lists each microphone, then prints a line with its level, while a tone plays."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000) * 8000).astype(np.int16)
    soundfile.write(tmp_path / "tone.wav", np.tile(tone, 40), 48000)
    player = subprocess.Popen(
        ["paplay", "--device=usb_microphone", tmp_path / "tone.wav"], env=sound_server.environment
    )
    try:
        command = [sys.executable, "-m", "device", "devices", "--meter", "5"]
        done = subprocess.run(
            command, env=sound_server.environment, capture_output=True, text=True, timeout=100, check=True
        )
    finally:
        player.kill()
        player.wait()
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"pulse: .* Hz \(takes 48000, 44100, 32000, 16000 Hz\)", lines[0])
    meters = lines[len(lines) // 2 :]
    assert len(meters) == len(lines) / 2
    for line in meters:
        found = re.fullmatch(r"\[#+-*\] +-\d+ to +(-\d+) dBFS  ok  (pulse|default)", line)
        assert found, line
        assert int(found[1]) == pytest.approx(-15, abs=1), "a sine of amplitude 8000 has -15.3 dBFS"


@pytest.mark.parametrize("seconds", ["1", "soon", "-5"])
def test_a_meter_needs_time_for_a_diagnosis(seconds, capsys):
    """Less time than a diagnosis takes, and text that is no number, are refused with the allowed values."""
    with pytest.raises(SystemExit) as ended:
        main(["devices", f"--meter={seconds}"])
    assert ended.value.code == 2
    assert f"is {seconds!r}, must be seconds, 5" in capsys.readouterr().err
