"""Tests of the capture side: however it ends, the microphone is lost, and opened again."""

import threading
from itertools import pairwise

import pytest
from hostile_source import capture_program
from single_blocks import one_by_one
from support import wait_until

from device.audio.capture_kind import Capture
from device.audio.capture_process import CaptureProcess
from device.audio.capture_worker import open_fault
from device.audio.microphone_source import MicrophoneSource
from device.types import SourceLost
from device.util.supervised_thread import THREADS

RATE = 16000
GOOD = {"name": "fake", "sample_rate": RATE, "channels": 1}
OUTPUTS = {
    "nothing": "pass",
    "no JSON": "os.write(1, b'ALSA lib: no such device\\n' + bytes(9999))",
    "half a line": "os.write(1, b'{\"name\": ')",
    "no object": "line([1, 2])",
    "no channels": "line({'name': 'x', 'sample_rate': 16000})",
    "impossible rate": "line({'name': 'x', 'sample_rate': 0, 'channels': 1})",
    "impossible channels": "line({'name': 'x', 'sample_rate': 16000, 'channels': 1000})",
    "a line without end": "os.write(1, b'{' * 1000000)",
    "bytes": "os.write(1, bytes(range(256)))",
}


def program(step):
    """Return the command of a capture process that executes one step, without a header before it."""
    command = capture_program(step)
    return [*command[:2], command[2].replace("line({})\n", "")]


@pytest.mark.parametrize("step", OUTPUTS.values(), ids=OUTPUTS)
def test_a_process_without_a_header_is_a_state(step):
    """Whatever the process writes, or if it dies, the microphone has a state and a message with a cure."""
    before = THREADS.failures
    with CaptureProcess(Capture(program(step)), 1) as capture:
        header = capture.header()
        assert header["state"] == "busy"
        assert "Run `earshot devices`" in header["message"]
        assert capture.read(5, threading.Event()) is None
    assert THREADS.failures == before


@pytest.mark.parametrize("fault", [OSError(24, "Too many open files"), OSError(12, "Cannot allocate memory")])
def test_a_process_that_cannot_be_started_is_a_state(monkeypatch, fault):
    """A machine without memory or file descriptors for a process is a state of the microphone."""
    monkeypatch.setattr("device.audio.capture_process.subprocess.Popen", lambda *_, **__: (_ for _ in ()).throw(fault))
    with CaptureProcess(Capture(["x"]), 1) as capture:
        header = capture.header()
    assert header["state"] == "busy"
    assert f"cannot be started ([Errno {fault.errno}] {fault.strerror})" in header["message"]


def listen(command, monkeypatch, until):
    """Read a microphone with this capture process until a condition holds; return its items."""
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.05,))
    items, stop = [], threading.Event()
    source = MicrophoneSource("auto", RATE, queue_seconds=10, stop=stop)
    source._command = command
    thread = threading.Thread(target=lambda: [items.append(item) for item in one_by_one(source)])
    thread.start()
    try:
        wait_until(lambda: until(items), 20, "the items")
    finally:
        stop.set()
        thread.join(10)
    return source, items


ENDS = {
    "empty reads": "[send(b'') for _ in range(3)]",
    "half a sample": "send(b'x')",
    "a damaged packet": "os.write(1, b'\\0\\0\\0')",
    "a packet of impossible size": "line({'bytes': -1})",
    "a packet that is too large": "line({'bytes': 1 << 40})",
    "half a packet": "line({'bytes': 100}); os.write(1, b'x')",
    "a crash": "os.kill(os.getpid(), 11)",
}


@pytest.mark.parametrize("step", ENDS.values(), ids=ENDS)
def test_a_capture_that_breaks_is_started_again(monkeypatch, step):
    """Empty, damaged or truncated packets are the end of one capture; blocks of the next one follow."""
    before = THREADS.failures
    command = capture_program("send(bytes(960))", step, **GOOD)
    _, items = listen(command, monkeypatch, lambda items: sum(not isinstance(item, SourceLost) for item in items) >= 3)
    assert any(isinstance(item, SourceLost) for item in items)
    assert THREADS.failures == before


def test_an_overflow_is_counted_and_published_as_lost_audio(monkeypatch):
    """A loss that the driver reports is lost audio of its length, and a gap of the positions."""
    steps = ("send(bytes(9600))", "time.sleep(1.3)", "send(bytes(3200), after_loss=True)", "time.sleep(60)")
    command = capture_program(*steps, **GOOD)
    source, items = listen(command, monkeypatch, lambda items: len(items) >= 10 + 3)
    (gap,) = [later.position - earlier.end for earlier, later in pairwise(items) if later.position != earlier.end]
    assert source.lost_samples == gap
    assert gap / RATE == pytest.approx(1.2, abs=0.1)


def test_each_error_of_portaudio_has_its_cure():
    """A rate that the hardware refuses is cured by a converter, a microphone in use by closing other programs."""
    rates = [OSError(-9997, "Invalid sample rate"), OSError(-9998, "Invalid number of channels")]
    assert "Set audio.device to default" in open_fault("x", rates)
    busy = open_fault("x", [*rates, OSError(-9985, "Device unavailable"), *rates])
    assert "Device unavailable" in busy
    assert "Close other programs" in busy
