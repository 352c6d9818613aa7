import threading
import time

import numpy as np
import pytest
import soundfile
from support import wait_until

from device.audio.microphone import InputDevice, MicrophoneSource, _choose, _Chunk, input_devices
from device.errors import UnavailableError
from device.features import level_dbfs


@pytest.fixture
def plugged_in(sound_server, monkeypatch):
    """This process hears the sound server's microphone."""
    for name, value in sound_server.environment.items():
        if name.startswith("PULSE_"):
            monkeypatch.setenv(name, value)
    return sound_server


def test_hears_what_is_played(plugged_in, tmp_path):
    """A tone that is played into the microphone arrives in blocks, at its pitch, at positions without a gap."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(96000) / 48000) * 8000).astype(np.int16)
    soundfile.write(tmp_path / "tone.wav", tone, 48000)
    stop = threading.Event()
    blocks = []

    def listen():
        with MicrophoneSource("auto", 16000, queue_seconds=10, stop=stop) as source:
            blocks.extend(source)

    thread = threading.Thread(target=listen)
    started = time.time()
    thread.start()
    wait_until(lambda: thread.is_alive(), 5, "the start")
    time.sleep(0.5)
    plugged_in.play(tmp_path / "tone.wav")
    time.sleep(2.5)  # the sound server hands over in large pieces
    stop.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert [block.position for block in blocks] == [480 * number for number in range(len(blocks))]
    assert started - 3 < blocks[0].time < time.time()
    loud = np.concatenate([block.samples for block in blocks if level_dbfs(block.samples) > -30])
    assert 1.5 < len(loud) / 16000 < 2.1
    spectrum = np.abs(np.fft.rfft(loud[4000:20000].astype(float)))
    assert np.argmax(spectrum) == pytest.approx(1000, abs=2)


def test_lists_the_microphone(plugged_in):
    """`earshot devices` names what the sound server offers, and which one `auto` takes."""
    devices = input_devices()
    assert any("pulse" in device.name for device in devices)
    assert sum(device.is_default for device in devices) == 1


def test_no_microphone_of_that_name_is_told(plugged_in):
    """A name that matches nothing is one clear error that lists what is there."""
    source = MicrophoneSource("Blue Yeti", 16000, queue_seconds=10, stop=threading.Event())
    with pytest.raises(UnavailableError, match=r"no microphone matches audio\.device 'Blue Yeti'.*pulse"), source:
        pass


DEVICES = [
    InputDevice(0, "HDA Intel: ALC (hw:0,0)", 2, 44100, is_default=True),
    InputDevice(3, "USB PnP Sound Device: Audio (hw:1,0)", 1, 48000, is_default=False),
]


def test_a_part_of_the_name_is_enough():
    """Microphones are chosen by name, upper or lower case, never by a number that moves."""
    assert _choose(DEVICES, "usb pnp").index == 3
    assert _choose(DEVICES, "auto").index == 0
    with pytest.raises(UnavailableError, match="no microphone found"):
        _choose([], "auto")


def test_an_overflow_is_counted_and_keeps_positions():
    """When the reader is too slow the oldest sound is dropped; the rest keeps its place and the loss is counted."""
    stop = threading.Event()
    source = MicrophoneSource("auto", 16000, queue_seconds=1, stop=stop)
    source._source_rate, source._channels, source.name = 16000, 1, "fake"
    for second in range(3):
        for piece in range(50):
            value = np.full(960, 100 * second + piece, np.int16)
            source._on_chunk(value.tobytes(), 960, {}, 0)
    blocks = []
    for block in source:
        blocks.append(block)
        if source._chunks.empty():
            stop.set()
    assert source.lost_samples == blocks[0].position > 0
    assert blocks[-1].end == 3 * 50 * 960
    for block in blocks:
        piece = block.position // 960
        assert set(block.samples) == {100 * (piece // 50) + piece % 50}


def test_stereo_becomes_mono():
    """Both channels of a stereo microphone are heard."""
    stop = threading.Event()
    source = MicrophoneSource("auto", 16000, queue_seconds=1, stop=stop)
    source._source_rate, source._channels, source.name = 16000, 2, "fake"
    source._chunks.put(_Chunk(0, np.tile(np.array([1000, 3000], np.int16), 480).tobytes(), time.time()))
    block = next(iter(source))
    assert set(block.samples) == {2000}


def test_a_microphone_that_falls_silent_is_told(monkeypatch):
    """A stream that delivers nothing is an error with a cure, not a daemon that hears nothing for days."""
    monkeypatch.setattr("device.audio.microphone._SILENT_SECONDS", 0.3)
    source = MicrophoneSource("auto", 16000, queue_seconds=1, stop=threading.Event())
    source._source_rate, source._channels, source.name = 16000, 1, "fake"
    with pytest.raises(UnavailableError, match="'fake' has delivered nothing"):
        next(iter(source))
