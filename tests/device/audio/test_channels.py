"""Tests of the choice of channels: each of several microphones on one interface can be a node of its own."""

import subprocess
import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import soundfile
from hostile_source import capture_program
from single_blocks import one_by_one
from support import wait_until

from device.audio.block_stream import BlockStream
from device.audio.capture_kind import Capture
from device.audio.capture_worker import channel_counts
from device.audio.chunk_queue import Chunk
from device.audio.devices import InputDevice
from device.audio.level_meter import read_levels
from device.audio.microphone_source import MicrophoneSource
from device.types import SourceLost

RATE = 16000
PITCHES = (500, 1000, 1500, 2000)
"""Frequency in each channel of the interface, Hz."""


@contextmanager
def listening(channels):
    """Read channels of the microphone on a thread; yield its blocks and its states."""
    blocks, states, stop = [], [], threading.Event()
    report = lambda state, message: states.append((state, message))  # noqa: E731
    source = MicrophoneSource("default", RATE, channels=channels, queue_seconds=10, stop=stop, on_state=report)

    def collect():
        for item in one_by_one(source):
            if not isinstance(item, SourceLost):
                blocks.append(item)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield blocks, states
    finally:
        stop.set()
        thread.join(10)


def pitches(blocks):
    """Return the tones in the last half second, Hz."""
    spectrum = np.abs(np.fft.rfft(np.concatenate([block.samples for block in blocks])[-RATE // 2 :]))
    return [pitch for pitch in PITCHES if spectrum[pitch // 2] > 0.2 * spectrum.max()]


@pytest.fixture
def interface(plugged_in, tmp_path):
    """Make the sound server's microphone an interface of four channels, with a tone in each."""
    plugged_in.unplug()
    plugged_in.plug_in(48000, 4, "front-left,front-right,rear-left,rear-right")
    times = np.arange(48000 * 60) / 48000
    path = tmp_path / "tones.wav"
    soundfile.write(path, np.sin(2 * np.pi * np.outer(times, PITCHES)) * 0.2, 48000)
    command = ["paplay", "--device=usb_microphone", "--channel-map=front-left,front-right,rear-left,rear-right", path]
    player = subprocess.Popen(command, env=plugged_in.environment)
    yield plugged_in
    player.kill()
    player.wait()


def test_instances_share_an_interface_with_a_channel_each(interface):
    """Four readers at the same time receive one channel each, and a fifth the mean of two, without any other."""
    choices = [(1,), (2,), (3,), (4,), (2, 4)]
    with ExitStack() as stack:
        readers = [stack.enter_context(listening(channels)) for channels in choices]
        for blocks, _ in readers:
            wait_until(lambda blocks=blocks: len(blocks) >= 100, 40, "the blocks")
        found = [pitches(blocks) for blocks, _ in readers]
    assert found == [[PITCHES[channel - 1] for channel in channels] for channels in choices]


def test_a_channel_that_the_microphone_lacks_is_an_error(interface):
    """The message names the channels that exist, and the microphone is tried again."""
    with listening((5,)) as (blocks, states):
        wait_until(lambda: states, 20, "the fault")
    assert states[0][0] == "no_channel"
    assert states[0][1].endswith("has no channel 5. Correct audio.channels: use numbers from 1 to 4")
    assert blocks == []


def test_the_level_meter_measures_the_chosen_channel():
    """A loud first channel does not hide a silent second one, and a mono microphone has no second."""
    loud = "import array; [send(array.array('h', [n % 99 * 300, 0] * 16000).tobytes()) for n in range(6)]"
    header = {"name": "fake", "sample_rate": RATE, "channels": 2}

    def measure(selected, **fields):
        capture = Capture(capture_program(loud, **header | fields), channels=selected)
        return list(read_levels(capture, 5, threading.Event()))[-1]

    assert measure((2,)).state == "silent"
    assert measure((1, 2)).state != "silent"
    reading = measure((2,), channels=1)
    assert (reading.state, reading.levels) == ("no_channel", None)
    assert reading.message == "microphone 'fake' has no channel 2. Correct audio.channels: leave it empty"


def test_channels_are_averaged_within_the_selection():
    """Only the selected channels enter the mean, whatever the order."""
    samples = np.tile(np.array([1000, 2000, 4000, 8000], np.int16), (4800, 1))
    for selected, mean in (((2,), 2000), ((4, 3), 6000), ((), 3750)):
        stream = BlockStream(RATE, 4, RATE, 0, selected=selected)
        blocks = stream.feed(Chunk(samples.tobytes(), 0, 1.0, 1.0))
        assert set(blocks.samples) == {mean}


@pytest.mark.parametrize(
    ("name", "channels", "highest", "counts"),
    [
        ("Scarlett (hw:1,0)", 4, 0, (2, 1, 4)),
        ("Scarlett (hw:1,0)", 4, 1, (4,)),
        ("pulse", 32, 3, (3, 32)),
        ("pulse", 32, 1, (2, 32)),
    ],
)
def test_a_card_is_opened_with_all_channels_if_one_is_chosen(name, channels, highest, counts):
    """A sound card delivers all of its channels; a sound server as many as are asked for."""
    device = InputDevice(0, name, "", channels, 48000, is_default=False)
    assert channel_counts(device, highest) == counts
