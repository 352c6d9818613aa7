import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import wait_until

from device.audio.devices import InputDevice, choose, input_devices
from device.audio.microphone_source import MicrophoneSource
from device.audio.signal_diagnosis import SignalDiagnosis
from device.errors import UnavailableError
from device.types import SourceLost, level_dbfs

RATE = 16000


class Listener:
    """Runs a source on a thread and keeps what it yields and says."""

    def __init__(self, **options):
        self.blocks, self.lost, self.states = [], [], []
        self._stop = threading.Event()
        self.source = MicrophoneSource(
            options.pop("device", "auto"),
            RATE,
            queue_seconds=options.pop("queue_seconds", 10),
            stop=self._stop,
            on_state=lambda state, message: self.states.append((state, message)),
        )
        if "command" in options:
            self.source._command = options["command"]
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        for item in self.source:
            (self.lost if isinstance(item, SourceLost) else self.blocks).append(item)

    def loud(self):
        """Blocks in which something sounds."""
        return [block for block in self.blocks if level_dbfs(block.samples) > -30]

    def close(self):
        self._stop.set()
        self._thread.join(timeout=5)
        assert not self._thread.is_alive(), "the source does not end"


@contextmanager
def listening(**options):
    listener = Listener(**options)
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture
def plugged_in(sound_server, monkeypatch):
    """This process hears the sound server's microphone."""
    for name, value in sound_server.environment.items():
        if name.startswith("PULSE_"):
            monkeypatch.setenv(name, value)
    return sound_server


@pytest.fixture
def tone(tmp_path):
    """A second of 1 kHz."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, (np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000) * 8000).astype(np.int16), 48000)
    return path


def hears(listener, server, tone):
    """Play the tone once the microphone is open, and wait until it was heard, whole."""
    wait_until(lambda: listener.source.state in ("ok", "silent"), 20, "the microphone")
    before, count = len(listener.loud()), len(listener.blocks)
    wait_until(lambda: len(listener.blocks) > count, 10, "the first block")
    server.play(tone)
    wait_until(lambda: len(listener.loud()) >= before + 30, 10, "the tone")


def test_hears_what_is_played(plugged_in, tone):
    """A tone that is played into the microphone arrives in blocks, at its pitch, at positions without a gap."""
    started = time.time()
    with listening() as listener:
        hears(listener, plugged_in, tone)
        time.sleep(0.5)
    blocks = listener.blocks
    assert [block.position for block in blocks] == [480 * number for number in range(len(blocks))]
    assert started - 3 < blocks[0].time < time.time()
    loud = np.concatenate([block.samples for block in listener.loud()])
    assert 0.8 < len(loud) / RATE < 1.1
    spectrum = np.abs(np.fft.rfft(loud[1600:9600].astype(float)))
    assert np.argmax(spectrum) * 2 == pytest.approx(1000, abs=4)
    assert listener.source.lost_samples == 0


def test_a_microphone_that_is_pulled_and_put_back_is_heard_again(plugged_in, tone):
    """Five times unplugged and plugged in, as another kind each time: heard each time, the loss counted."""
    with listening() as listener:
        for rate, channels in ((48000, 1), (44100, 2), (32000, 1), (16000, 1), (44100, 1)):
            hears(listener, plugged_in, tone)
            plugged_in.unplug()
            wait_until(lambda: listener.source.state not in ("ok", "silent"), 20, "the diagnosis")
            plugged_in.plug_in(rate, channels)
        hears(listener, plugged_in, tone)
    assert len(listener.lost) == 5
    positions = [block.position for block in listener.blocks]
    assert positions == sorted(positions)
    gaps = sum(later - earlier - 480 for earlier, later in pairwise(positions))
    assert gaps == listener.source.lost_samples > 0


def test_a_sound_server_that_crashes_or_hangs_is_survived(plugged_in, tone):
    """A server that is killed and started again, and one that freezes: heard again after each."""
    with listening() as listener:
        hears(listener, plugged_in, tone)
        plugged_in.kill()
        wait_until(lambda: listener.source.state == "missing", 20, "the diagnosis")
        plugged_in.start()
        hears(listener, plugged_in, tone)
        plugged_in.freeze()
        wait_until(lambda: listener.source.state == "stalled", 20, "the diagnosis")
        plugged_in.thaw()
        hears(listener, plugged_in, tone)
    states = [state for state, _ in listener.states if state != "silent"]
    assert len(states) < 12, "said once, not every second"


def test_digital_silence_is_told(plugged_in, tone):
    """A source of zeros is diagnosed as silent, with the cure; sound ends that."""
    with listening() as listener:
        wait_until(lambda: listener.source.state == "silent", 20, "the diagnosis")
        assert "muted" in listener.states[-1][1]
        hears(listener, plugged_in, tone)
        plugged_in.play(tone)
        wait_until(lambda: listener.source.state == "ok", 10, "the recovery")


def test_no_microphone_of_that_name_is_waited_for(plugged_in):
    """A name that matches nothing is told with what is there, once, and waited for, with a sign of life meanwhile."""
    with listening(device="Blue Yeti") as listener:
        wait_until(lambda: len(listener.lost) >= 3, 20, "the third word that nothing is heard")
    (state, message), *more = listener.states
    assert state == "missing"
    assert "'Blue Yeti'" in message
    assert more == []
    assert listener.blocks == []


def test_lists_the_microphone(plugged_in):
    """`earshot devices` names what the sound server offers, and which one is the default."""
    devices = input_devices()
    assert any("pulse" in device.name for device in devices)
    assert sum(device.is_default for device in devices) == 1
    assert all(device.rates == (48000, 44100, 32000, 16000) for device in devices), "a sound server takes any"


def test_without_pyaudio_the_cure_is_told(monkeypatch):
    """Where PyAudio is not installed no microphone will ever come: one clear error, not an endless wait."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=threading.Event())
    with pytest.raises(UnavailableError, match=r"needs PyAudio.*pip install"), source:
        pass
    with pytest.raises(UnavailableError, match="needs PyAudio"):
        input_devices()


DEVICES = [
    InputDevice(0, "HDA Intel: ALC (hw:0,0)", "", 2, 44100, is_default=True),
    InputDevice(3, "USB PnP Sound Device: Audio (hw:1,0)", "0d8c:0014", 1, 48000, is_default=False),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [("usb pnp", 3), ("usb:0d8c:0014", 3), ("hda", 0), ("auto", 3), ("usb:1:1", None), ("x", None)]
)
def test_a_microphone_is_chosen_by_what_does_not_move(wanted, index):
    """By a part of its name, by its USB id, or `auto`, which prefers USB; never by a number."""
    found = choose(DEVICES, wanted)
    assert (found.index if found else None) == index


def test_auto_takes_the_default_where_nothing_is_usb():
    """Without a USB microphone `auto` is the system's default; without any, it is none."""
    assert choose(DEVICES[:1], "auto").index == 0
    assert choose([], "auto") is None


def test_a_whole_name_goes_before_a_part_of_one():
    """`default` is the device of that name, though `sysdefault` stands before it in the list."""
    named = [InputDevice(n, name, "", 2, 44100, is_default=False) for n, name in enumerate(("sysdefault", "default"))]
    assert choose(named, "default").index == 1


def program(*steps, rate=RATE, channels=1):
    """A capture program for tests: says its header, then does what each step says."""
    header = json.dumps({"name": "fake", "sample_rate": rate, "channels": channels})
    lines = ["import sys, time, os", f"os.write(1, {header!r}.encode() + b'\\n')", *steps]
    return [sys.executable, "-c", "\n".join(lines)]


def test_an_overflow_is_counted_and_keeps_positions():
    """When the reader is too slow the oldest sound is dropped; the rest keeps its place and the loss is counted."""
    ramp = "import array; os.write(1, b''.join(array.array('h', [n]*480).tobytes() for n in range(1000)))"
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=(stop := threading.Event()))
    source._command = program(ramp, "time.sleep(60)")
    blocks = []
    for block in source:
        if not blocks:
            time.sleep(1.5)  # too slow: 30 s of sound arrive meanwhile
        blocks.append(block)
        if block.end > 480 * 998:
            stop.set()
    assert all(set(block.samples) <= {block.position // 480, block.position // 480 + 1} for block in blocks)
    missing = 1000 - len(blocks)
    assert missing > 500
    assert source.lost_samples == pytest.approx(480 * missing, abs=1440)


def test_stereo_becomes_mono():
    """Both channels of a stereo microphone are heard."""
    write = "import array; os.write(1, array.array('h', [1000, 3000] * 4800).tobytes())"
    with listening(command=program(write, "time.sleep(60)", channels=2)) as listener:
        wait_until(lambda: len(listener.blocks) == 10, 10, "the blocks")
    assert {sample for block in listener.blocks for sample in block.samples} == {2000}


@pytest.mark.parametrize("last", ["os._exit(1)", "os.kill(os.getpid(), 11)"])
def test_a_capture_program_that_crashes_is_started_again(last):
    """A driver that takes the process with it costs a second of sound, not the daemon."""
    with listening(command=program("os.write(1, bytes(96000))", last)) as listener:
        wait_until(lambda: len(listener.lost) >= 2, 20, "the second life")
    assert len(listener.blocks) >= 200


def test_an_orphan_gives_the_microphone_back(plugged_in):
    """The capture program ends when the daemon is gone, even by kill -9: the next daemon finds the microphone free."""
    script = (
        "import os, subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'device.audio.capture_worker', 'auto']\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    pid = int(done.stdout)

    def gone():
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    wait_until(gone, 10, "the orphan's end")


def diagnose(frames, seconds=6.0, pace=1.0):
    """Feed the same tenth of a second over and over, at a pace."""
    diagnosis = SignalDiagnosis(RATE)
    for tenth in range(round(seconds * 10)):
        diagnosis.feed(frames, tenth * 0.1 / pace)
    return diagnosis.state


NOISE = np.random.default_rng(0).integers(-500, 500, (1600, 1)).astype(np.int16)


@pytest.mark.parametrize(
    ("frames", "options", "state"),
    [
        (NOISE, {}, "ok"),
        (np.zeros((1600, 2), np.int16), {}, "silent"),
        (np.full((1600, 1), 123, np.int16), {}, "dc"),
        (np.clip(NOISE.astype(int) * 100, -32768, 32767).astype(np.int16), {}, "clipping"),
        (NOISE, {"seconds": 80, "pace": 1.0}, "ok"),
        (NOISE, {"seconds": 80, "pace": 0.9}, "wrong_rate"),
        (NOISE, {"seconds": 90, "pace": 1.1}, "wrong_rate"),
    ],
)
def test_what_is_wrong_is_told_by_name(frames, options, state):
    """Zeros, a constant, clipping and a wrong pace each have their name; a good microphone is ok."""
    assert diagnose(frames, **options) == state
