"""Tests of microphones that deliver no sound of the room: another one is chosen, and the sound server is asked."""

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from hostile_source import capture_program
from support import wait_until

from device.audio.devices import InputDevice, choose_device, equal_matches, usb_microphones
from device.audio.microphone_source import MicrophoneSource
from device.audio.sound_server import has_no_source, recorded_source

RATE = 16000
SILENCE = "[send(bytes(32000)) for _ in range(20)]; [(send(bytes(3200)), time.sleep(0.1)) for _ in range(600)]"


@contextmanager
def listening(command, device="auto"):
    """Read a microphone on a thread; yield the source and its states."""
    states, stop = [], threading.Event()
    report = lambda state, message: states.append((state, message))  # noqa: E731
    source = MicrophoneSource(device, RATE, queue_seconds=60, stop=stop, on_state=report)
    source._command = command or source._command
    thread = threading.Thread(target=lambda: [None for _ in source])
    thread.start()
    try:
        yield source, states
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def silent_microphone(monkeypatch, tmp_path):
    """Return the command of a silent microphone that logs its arguments, and the function that returns them."""
    monkeypatch.setattr("device.audio.signal_diagnosis.PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.05,))
    log = f"open({str(tmp_path / 'log')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')"
    command = capture_program(log, SILENCE, name="built-in", sample_rate=RATE, channels=1)
    return command, lambda: (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []


def test_a_usb_microphone_that_is_plugged_in_later_is_chosen(monkeypatch, silent_microphone):
    """With `auto`, a silent microphone is left for one that is plugged in; with a name, it is not."""
    command, starts = silent_microphone
    plugged_in = {"card0 8086:0001"}
    monkeypatch.setattr("device.audio.microphone_source.usb_microphones", lambda: set(plugged_in))
    for device in ("built-in", "auto"):
        with listening(command, device) as (source, states):
            wait_until(lambda source=source: source.state == "silent", 20, "the diagnosis")
            plugged_in.add(f"card1 0d8c:0014 {device}")
            time.sleep(0.3)
            if device == "auto":
                wait_until(lambda: len(starts()) == 3, 20, "the second capture")
    assert starts() == ["", "", "built-in"]
    assert [state for state, _ in states] == ["ok", "silent"], "opening it again reports nothing new"


def test_a_silent_microphone_is_opened_again_from_time_to_time(monkeypatch, silent_microphone):
    """Every microphone has its turn while all are silent: the list of deaf ones begins anew."""
    command, starts = silent_microphone
    monkeypatch.setattr("device.audio.microphone_source._REOPEN_DEAF_SECONDS", 0.0)
    with listening(command):
        wait_until(lambda: len(starts()) >= 4, 30, "the fourth capture")
    assert starts()[:4] == ["", "built-in", "built-in", "built-in"]


def usb(index, card, port, name="USB PnP Sound Device: Audio", usb_id="0d8c:0014", is_default=False):
    return InputDevice(index, f"{name} (hw:{card},0)", usb_id, 1, 48000, is_default=is_default, usb_port=port)


TWINS = [usb(0, 0, "", "HDA", "", is_default=True), usb(3, 1, "1-1.2"), usb(4, 2, "1-1.4")]


def test_two_microphones_of_one_name_are_told_apart():
    """The USB port names one of two equal microphones, in whatever order they are listed."""
    for devices in (TWINS, TWINS[::-1]):
        assert choose_device(devices, "usb:0d8c:0014@1-1.4").index == 4
        assert choose_device(devices, "usb:0d8c:0014@1-1.2").index == 3
        assert choose_device(devices, "usb:0d8c:0014@1-1.3") is None
    assert TWINS[2].identity == "usb:0d8c:0014@1-1.4"
    assert [equal_matches(TWINS, name, TWINS[1]) for name in ("auto", "usb pnp", "usb:0d8c:0014")] == [2, 2, 2]
    assert equal_matches(TWINS, "usb:0d8c:0014@1-1.2", TWINS[1]) == 1


def test_auto_leaves_a_deaf_microphone_while_there_is_another():
    """The choice goes to the next one, a built-in one included, and to the deaf one if no other is left."""
    deaf = [TWINS[1].name]
    assert choose_device(TWINS, "auto").index == 3
    assert choose_device(TWINS, "auto", deaf).index == 4
    assert choose_device(TWINS[:2], "auto", deaf).index == 0
    assert choose_device(TWINS[1:2], "auto", deaf).index == 3
    assert choose_device(TWINS, "usb:0d8c:0014@1-1.2", deaf).index == 3


def test_one_of_two_equal_microphones_is_named():
    """The start names the number of microphones that match, and the setting for the one that was opened."""
    header = {"name": "x", "sample_rate": RATE, "channels": 1, "matches": 2, "identity": "usb:0d8c:0014@1-1.2"}
    with listening(capture_program("time.sleep(60)", **header)) as (_, states):
        wait_until(lambda: states, 10, "the start")
    assert states[0][1].endswith("2 microphones match audio.device. Set it to usb:0d8c:0014@1-1.2 for this one")


def test_usb_microphones_are_the_cards_with_a_usb_id(monkeypatch, tmp_path):
    """Each USB card is one entry with its id, and cards without one are left out."""
    for card in ("card0", "card1"):
        (tmp_path / card).mkdir()
    (tmp_path / "card1" / "usbid").write_text("0d8c:0014\n")
    monkeypatch.setattr("device.audio.devices._CARDS", tmp_path)
    assert usb_microphones() == {"card1 0d8c:0014"}


@pytest.fixture
def pactl(plugged_in):
    """Return a function that runs pactl on the sound server."""

    def run(*arguments):
        return subprocess.run(["pactl", *arguments], check=True, capture_output=True, text=True, timeout=10).stdout

    return run


def test_a_stream_that_was_moved_to_a_loudspeaker_is_reported(pactl):
    """The sound server moves the stream to a monitor: the state is `monitor`, and ok when it is moved back."""
    pactl("load-module", "module-null-sink", "sink_name=loudspeaker")
    pactl("set-default-source", "usb_microphone.monitor")
    worker = (
        "import sys; from device.audio import capture_worker\n"
        "capture_worker._SERVER_SECONDS = 0.3\n"
        "capture_worker.main('auto', [])"
    )
    with listening([sys.executable, "-c", worker]) as (source, states):
        wait_until(lambda: source._own_source == "usb_microphone.monitor", 20, "the source")
        stream = pactl("list", "short", "source-outputs").split()[0]
        pactl("move-source-output", stream, "loudspeaker.monitor")
        wait_until(lambda: source.state == "monitor", 20, "the diagnosis")
        pactl("move-source-output", stream, "usb_microphone.monitor")
        wait_until(lambda: source.state == "ok", 20, "the recovery")
    assert "records what this machine plays" in dict(states)["monitor"]


def test_the_monitor_of_a_real_loudspeaker_is_a_fault_from_the_start():
    """A virtual sink's monitor may be the microphone; a hardware sink's is none."""
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=threading.Event())
    real = {"name": "alsa_output.hdmi.monitor", "is_monitor": True, "is_hardware": True}
    virtual = {"name": "loopback.monitor", "is_monitor": True, "is_hardware": False}
    microphone = {"name": "alsa_input.usb", "is_monitor": False, "is_hardware": False}
    found = [source._records_monitor(each) for each in (None, real, virtual, real, microphone, virtual, microphone)]
    assert found == [False, True, False, True, False, True, False]


def test_without_a_sound_server_there_is_no_source(monkeypatch):
    """Without pactl, or without a server, no source is reported."""
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    assert recorded_source(1) is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert recorded_source(1) is None


def test_a_sound_server_without_a_microphone_is_missing(sound_server, monkeypatch):
    """ALSA lists a default there, which cannot be opened. No other program is at fault: the state is `missing`."""
    for name, value in sound_server.environment.items():
        monkeypatch.setenv(name, value)
    assert not has_no_source()
    sound_server.unplug()
    states = []
    stop = threading.Event()
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=stop, on_state=lambda *state: states.append(state))
    next(iter(source))
    stop.set()
    assert states[0][0] == "missing"
    assert states[0][1].startswith("the sound server has no microphone")
