import threading
import time
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hostile_source import capture_program
from single_blocks import one_by_one
from support import wait_until

from device.audio.capture_kind import Capture
from device.audio.capture_process import CaptureProcess
from device.audio.devices import input_devices
from device.audio.microphone_source import MicrophoneSource
from device.errors import UnavailableError
from device.types import SourceLost
from device.util.samples import level_dbfs

pytestmark = pytest.mark.slow
RATE = 16000


class Listener:
    """Thread that reads a source and collects its items and states."""

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
        for item in one_by_one(self.source):
            (self.lost if isinstance(item, SourceLost) else self.blocks).append(item)

    def loud(self):
        """Return the blocks with sound."""
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
def tone(tmp_path):
    """Write a tone of 1 kHz, one second long."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, (np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000) * 8000).astype(np.int16), 48000)
    return path


def play_tone(listener, server, tone):
    """Play the tone when the microphone is open, and wait until the listener has received all of it."""
    wait_until(lambda: listener.source.state in ("ok", "silent"), 20, "the microphone")
    before, count = len(listener.loud()), len(listener.blocks)
    wait_until(lambda: len(listener.blocks) > count, 10, "the first block")
    server.play(tone)
    wait_until(lambda: len(listener.loud()) >= before + 30, 10, "the tone")


def test_a_played_tone_arrives_in_blocks(plugged_in, tone):
    """A tone that the microphone receives arrives in blocks, at its pitch, with positions without a gap."""
    started = time.time()
    with listening() as listener:
        play_tone(listener, plugged_in, tone)
        time.sleep(0.5)
    blocks = listener.blocks
    assert [block.position for block in blocks] == [480 * number for number in range(len(blocks))]
    assert started - 3 < blocks[0].time < time.time()
    loud = np.concatenate([block.samples for block in listener.loud()])
    assert 0.8 < len(loud) / RATE < 1.1
    spectrum = np.abs(np.fft.rfft(loud[1600:9600].astype(float)))
    assert np.argmax(spectrum) * 2 == pytest.approx(1000, abs=4)
    assert listener.source.lost_samples == 0


def test_an_unplugged_microphone_is_opened_again(plugged_in, tone):
    """A microphone that is plugged in again, with another format each time, is opened; losses are counted."""
    with listening() as listener:
        for rate, channels in ((48000, 1), (44100, 2), (32000, 1), (16000, 1), (44100, 1)):
            play_tone(listener, plugged_in, tone)
            plugged_in.unplug()
            wait_until(lambda: listener.source.state not in ("ok", "silent"), 20, "the diagnosis")
            plugged_in.plug_in(rate, channels)
        play_tone(listener, plugged_in, tone)
    assert len(listener.lost) == 5
    positions = [block.position for block in listener.blocks]
    assert positions == sorted(positions)
    gaps = sum(later - earlier - 480 for earlier, later in pairwise(positions))
    assert gaps == listener.source.lost_samples > 0


def test_after_a_crash_or_hang_of_the_sound_server_the_microphone_is_opened_again(plugged_in, tone):
    """Sound arrives again after the sound server was killed and started again, and after it was frozen."""
    with listening() as listener:
        play_tone(listener, plugged_in, tone)
        plugged_in.kill()
        wait_until(lambda: listener.source.state == "missing", 20, "the diagnosis")
        plugged_in.start()
        play_tone(listener, plugged_in, tone)
        plugged_in.freeze()
        wait_until(lambda: listener.source.state == "stalled", 20, "the diagnosis")
        plugged_in.thaw()
        play_tone(listener, plugged_in, tone)
    states = [state for state, _ in listener.states if state != "silent"]
    assert len(states) < 12, "each state is reported once, not every second"


def test_digital_silence_is_reported(plugged_in, tone, monkeypatch):
    """A source of zeros is diagnosed as silent, with the cure; with sound, it is ok again."""
    monkeypatch.setattr("device.audio.signal_diagnosis.PATIENCE_SECONDS", 5.0)
    with listening() as listener:
        wait_until(lambda: listener.source.state == "silent", 20, "the diagnosis")
        assert "muted" in listener.states[-1][1]
        play_tone(listener, plugged_in, tone)
        plugged_in.play(tone)
        wait_until(lambda: listener.source.state == "ok", 10, "the recovery")


def test_a_missing_microphone_is_reported_once(plugged_in):
    """A name without a match is reported once; the source then yields `SourceLost` items."""
    with listening(device="Blue Yeti") as listener:
        wait_until(lambda: len(listener.lost) >= 3, 20, "the third SourceLost")
    (state, message), *more = listener.states
    assert state == "missing"
    assert "'Blue Yeti'" in message
    assert more == []
    assert listener.blocks == []


def test_without_pyaudio_there_is_one_error(monkeypatch):
    """Without PyAudio, there is one clear error with the cure, not an endless wait."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=threading.Event())
    with pytest.raises(UnavailableError, match=r"needs PyAudio.*pip install"), source:
        pass
    with pytest.raises(UnavailableError, match="needs PyAudio"):
        input_devices()


def program(*steps, rate=RATE, channels=1):
    """Return the command of a capture process for tests."""
    return capture_program(*steps, name="fake", sample_rate=rate, channels=channels)


def test_an_overflow_is_counted_and_keeps_positions():
    """If the reader is too slow, the oldest sound is dropped and counted; the rest keeps its positions."""
    ramp = "import array; [send(array.array('h', [n]*480).tobytes()) for n in range(1000)]"
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=(stop := threading.Event()))
    source._command = program(ramp, "time.sleep(60)")
    blocks = []
    for block in one_by_one(source):
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
    """The channels of a stereo microphone are averaged."""
    write = "import array; send(array.array('h', [1000, 3000] * 4800).tobytes())"
    with listening(command=program(write, "time.sleep(60)", channels=2)) as listener:
        wait_until(lambda: len(listener.blocks) == 10, 10, "the blocks")
    assert {sample for block in listener.blocks for sample in block.samples} == {2000}


def test_while_nothing_sounds_reads_arrive_together(monkeypatch):
    """The capture process is asked for two reads at a time in quiet, for one otherwise, and again after a new start."""
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.05,))
    echo = "send(bytes([os.read(0, 1)[0], 0] * 480))"
    source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=(stop := threading.Event()))
    source._command, values = program(echo, echo), []  # it ends after two reads
    for item in source:
        if isinstance(item, SourceLost):
            source.set_quiet(False)
            source.set_quiet(True)
            continue
        values.append(int(item.samples[0]))
        source.set_quiet(len(values) < 3)
        if len(values) == 4:
            stop.set()
    assert values == [1, 2, 2, 1]
    source.set_quiet(True)  # blocks that waited may be processed after the end of the capture
    source.set_quiet(False)


def test_a_capture_process_that_runs_already_is_read_first(monkeypatch):
    """Its sound is not lost, from the start on; once it has ended, the microphone is opened as usual."""
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.05,))
    send = "send(bytes([{}, 0] * 480))"
    stop = threading.Event()
    with CaptureProcess(Capture(program(send.format(1), send.format(2))), 1) as capture:
        source = MicrophoneSource("auto", RATE, queue_seconds=1, stop=stop, capture=capture)
        source._command, values = program(send.format(3)), []
        for item in source:
            values += [] if isinstance(item, SourceLost) else [int(item.samples[0])]
            if len(values) == 3:
                stop.set()
    assert values == [1, 2, 3]


@pytest.mark.parametrize("last", ["os._exit(1)", "os.kill(os.getpid(), 11)"])
def test_a_crashed_capture_process_is_started_again(last):
    """A crash of the capture process does not end the daemon."""
    with listening(command=program("send(bytes(96000))", last)) as listener:
        wait_until(lambda: len(listener.lost) >= 2, 20, "the second process")
    assert len(listener.blocks) >= 200
