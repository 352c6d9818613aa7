"""Tests of streams as a source, with Debian's ffmpeg: they are opened again after any fault, and keep their secrets."""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from stream_servers import LOGIN, RATE, HttpServer, RtspServer, wav_header
from support import free_port, wait_until

from device.audio.capture_kind import STREAM
from device.audio.stream_faults import stream_fault
from device.audio.stream_source import StreamSource
from device.audio.stream_worker import concat_script
from device.errors import UnavailableError
from device.types import SourceLost

PASSWORD = LOGIN.partition(":")[2]
needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed: apt-get install ffmpeg"
)


@contextmanager
def listening(url, channels=()):
    """Read a stream on a thread; yield the source, its items, and its states with their messages."""
    items, states, stop = [], [], threading.Event()
    report = lambda state, message: states.append((state, message))  # noqa: E731
    source = StreamSource(url, RATE, channels=channels, queue_seconds=10, stop=stop, on_state=report)
    thread = threading.Thread(target=lambda: [items.append(item) for item in source])
    thread.start()
    try:
        yield source, items, states
    finally:
        stop.set()
        thread.join(3)
        assert not thread.is_alive(), "the source does not end at once"


@pytest.fixture
def http():
    """Start a server of HTTP with two channels: 1000 Hz and 2000 Hz."""
    server = HttpServer((1000, 2000))
    yield server
    server.close()


@pytest.fixture
def rtsp():
    """Start a server of RTSP."""
    server = RtspServer()
    yield server
    server.close()


def blocks_of(items):
    return [item for item in items if not isinstance(item, SourceLost)]


def pitch(blocks):
    """Return the frequency of the last half second, Hz."""
    samples = np.concatenate([block.samples for block in blocks])[-RATE // 2 :]
    return int(np.argmax(np.abs(np.fft.rfft(samples))) * 2)


def command_lines():
    """Return the command lines of all processes, as `ps` shows them."""
    lines = {}
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines[int(process.parent.name)] = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return lines


def children(parent=None):
    """Return the processes below a process."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == (parent or os.getpid()) and fields[0] != "Z":
                found += [int(status.parent.name), *children(int(status.parent.name))]
    return found


@needs_ffmpeg
@pytest.mark.parametrize(("channels", "expected"), [((2,), 2000), ((1,), 1000)])
def test_a_channel_of_an_http_stream_arrives(http, channels, expected):
    """The tone of the chosen channel arrives in blocks, without a gap."""
    with listening(f"http://{LOGIN}@127.0.0.1:{http.port}/sound.wav", channels) as (source, items, states):
        wait_until(lambda: len(blocks_of(items)) >= 40, 20, "the blocks")
    assert abs(pitch(blocks_of(items)) - expected) <= 4
    assert [block.position for block in blocks_of(items)] == [480 * number for number in range(len(blocks_of(items)))]
    assert source.lost_samples == 0
    used = f", of which {channels[0]} are used"
    assert states == [("ok", f"listens to 'http://127.0.0.1:{http.port}' at 16000 Hz, 2 channels{used}")]


@needs_ffmpeg
def test_a_killed_rtsp_stream_is_opened_again(rtsp, monkeypatch):
    """Blocks follow after the server was killed and started again; the gap is counted, and times stay right."""
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.2,))
    with listening(f"rtsp://{LOGIN}@127.0.0.1:{rtsp.port}/sound") as (source, items, states):
        wait_until(lambda: len(blocks_of(items)) >= 60, 20, "the blocks")
        rtsp.stop()
        wait_until(lambda: source.state == "unreachable", 20, "the diagnosis")
        count = len(blocks_of(items))
        rtsp.start()
        wait_until(lambda: len(blocks_of(items)) >= count + 60, 20, "more blocks")
    blocks = blocks_of(items)
    gaps = [later.position - earlier.end for earlier, later in pairwise(blocks)]
    assert sum(gaps) == source.lost_samples > 0
    assert [state for state, _ in states] == ["ok", "stalled", "unreachable", "ok"]
    assert "refuses the connection. Start its server" in states[2][1]
    place = int(np.argmax(gaps))
    passed = blocks[-1].time - blocks[place].time
    assert (blocks[-1].position - blocks[place].position) / RATE == pytest.approx(passed, abs=0.7)
    assert pitch(blocks) == 1000


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_the_password_is_in_no_command_line_and_no_log(http, rtsp, kind, caplog):
    """Neither `ps` nor the log nor a message contains the password, while ffmpeg runs and after a fault."""
    caplog.set_level(logging.DEBUG)
    server, path = {"http": (http, "sound.wav"), "rtsp": (rtsp, "sound")}[kind]
    with listening(f"{kind}://{LOGIN}@127.0.0.1:{server.port}/{path}") as (source, items, states):
        wait_until(lambda: len(blocks_of(items)) >= 10, 20, "the blocks")
        lines = command_lines()
        own = [lines[process] for process in children() if process in lines]
        assert any(line.startswith("ffmpeg ") for line in own)
        assert not [line for line in lines.values() if PASSWORD in line]
        server.stop()
        wait_until(lambda: source.state == "unreachable", 20, "the fault")
    assert PASSWORD not in f"{source} {states} {caplog.text}"


@needs_ffmpeg
@pytest.mark.parametrize(
    ("kind", "address", "state", "fault"),
    [
        ("rtsp", "cam:wrong@127.0.0.1:{port}/sound", "denied", "refuses user and password"),
        ("rtsp", f"{LOGIN}@127.0.0.1:{{port}}/none", "unreachable", "has nothing at this path"),
        ("rtsp", f"{LOGIN}@127.0.0.1:{{port}}/video", "no_audio", "has no sound"),
        ("http", "127.0.0.1:{port}/sound.wav", "denied", "refuses user and password"),
        ("http", f"{LOGIN}@127.0.0.1:{{port}}/none", "unreachable", "has nothing at this path"),
        ("http", "earshot.invalid:{port}/none", "unreachable", "has an unknown host"),
    ],
)
def test_each_fault_has_its_state_and_cure(http, rtsp, kind, address, state, fault):
    """A wrong login, a wrong path, a stream of pictures alone and an unknown host each have a state and a cure."""
    port = {"http": http, "rtsp": rtsp}[kind].port
    with listening(f"{kind}://{address.format(port=port)}") as (_, items, states):
        wait_until(lambda: states, 25, "the fault")
    assert states[0][0] == state
    assert fault in states[0][1]
    assert "s3cret" not in states[0][1]
    assert blocks_of(items) == []


@needs_ffmpeg
def test_a_channel_that_the_stream_lacks_is_an_error(http):
    """The message names the channels that exist."""
    with listening(f"http://{LOGIN}@127.0.0.1:{http.port}/sound.wav", (1, 3)) as (_, _, states):
        wait_until(lambda: states, 20, "the fault")
    message = f"stream 'http://127.0.0.1:{http.port}' has no channel 3. Correct audio.channels: use numbers from 1 to 2"
    assert states[0] == ("no_channel", message)


@needs_ffmpeg
def test_ffmpeg_ends_with_the_capture_process(rtsp):
    """The process of ffmpeg ends when its parent is killed, and when the source stops."""
    with listening(f"rtsp://{LOGIN}@127.0.0.1:{rtsp.port}/sound") as (_, items, _):
        wait_until(lambda: len(blocks_of(items)) >= 10, 20, "the blocks")
        worker, ffmpeg = children()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{ffmpeg}").exists(), 5, "the end of ffmpeg")
        wait_until(lambda: len(children()) == 2, 20, "the next ffmpeg")
    wait_until(lambda: children() == [], 5, "the end of the second ffmpeg")


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """Return a function that replaces ffmpeg by a Python program."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.05,))

    def write(*lines):
        start = "import os, sys, time; script = sys.stdin.read()"
        header = f"header = {wav_header(1)!r}"
        program = tmp_path / "ffmpeg"
        program.write_text("\n".join([f"#!{sys.executable}", start, header, *lines, ""]))
        program.chmod(0o755)

    return write


def test_a_stalled_ffmpeg_is_killed_and_started_again(fake_ffmpeg, monkeypatch):
    """Without sound for some seconds, a stream that is still open is stalled, and another ffmpeg is started."""
    monkeypatch.setattr("device.audio.stream_source.STREAM", _hasty())
    fake_ffmpeg("os.write(1, header + bytes(9600))", "time.sleep(600)")
    with listening("rtsp://camera/x") as (_, items, states):
        wait_until(lambda: len(blocks_of(items)) >= 30, 20, "the third ffmpeg")
    assert [state for state, _ in states][:3] == ["ok", "stalled", "ok"]
    assert states[1][1].endswith("delivers nothing any more. Check the camera and its network. It is opened again")


def test_a_stream_that_does_not_open_is_given_up(fake_ffmpeg, monkeypatch):
    """An ffmpeg that delivers nothing is stalled, with a cure; the end of the source does not wait for it."""
    monkeypatch.setattr("device.audio.stream_source.STREAM", _hasty())
    fake_ffmpeg("time.sleep(600)")
    with listening("rtsp://camera/x") as (_, _, states):
        wait_until(lambda: states, 20, "the fault")
    assert states[0][0] == "stalled"
    assert "the stream did not open within" in states[0][1]
    fake_ffmpeg("time.sleep(600)")
    monkeypatch.undo()
    with listening("rtsp://127.0.0.1:9/x"):
        time.sleep(0.2)


def _hasty():
    """Return the kind of streams, with short times."""
    return type(STREAM)(**{**vars(STREAM), "open_seconds": 2.0, "stalled_seconds": 0.5})


def test_a_fault_that_is_not_known_is_reported_without_the_address(fake_ffmpeg):
    """The last line of ffmpeg is the reason; the address in it is left out, also where ffmpeg repeats it."""
    fake_ffmpeg(
        "sys.stderr.write('strange: ' + script + 'rtsp://cam:s3cret-word@camera/x: strange fault\\n')", "sys.exit(1)"
    )
    with listening("rtsp://cam:s3cret-word@camera/x") as (_, _, states):
        wait_until(lambda: states, 20, "the fault")
    assert states[0] == (
        "unreachable",
        "stream 'rtsp://camera' cannot be read (... strange fault). Play its address in VLC",
    )


def test_without_ffmpeg_there_is_one_error(monkeypatch):
    """Without ffmpeg, there is one error with the cure, not an endless wait."""
    monkeypatch.setenv("PATH", "/nowhere")
    source = StreamSource("rtsp://camera/x", RATE, queue_seconds=1, stop=threading.Event())
    with pytest.raises(UnavailableError, match=r"needs ffmpeg.*apt-get install ffmpeg"), source:
        pass


def test_attempts_are_made_at_growing_intervals(fake_ffmpeg, monkeypatch):
    """A stream that ends at once is opened again after ever longer pauses, unless it delivered for some seconds."""
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.0, 0.2, 60.0))
    fake_ffmpeg("os.write(1, header + bytes(960))")
    with listening("rtsp://camera/x") as (_, items, _):
        wait_until(lambda: len(blocks_of(items)) >= 3, 20, "the third attempt")
        time.sleep(0.3)
    assert len(blocks_of(items)) == 3


@pytest.mark.skipif(shutil.which("ffmpeg") is not None and not Path("/proc").exists(), reason="needs /proc")
def test_an_address_cannot_leave_its_line():
    """Quotation marks in an address are escaped, and a line break is refused."""
    assert "file 'http://x/a'\\''b'" in concat_script("http://x/a'b")
    with pytest.raises(ValueError, match="one line"):
        concat_script("http://x/a\nfile '/etc/passwd'")
    assert stream_fault("n", [])["message"].startswith("stream 'n' cannot be read (it ended before any sound)")


def test_a_busy_port_is_no_server():
    """A port without a server is refused at once."""
    with listening(f"tcp://127.0.0.1:{free_port()}") as (_, _, states):
        wait_until(lambda: states, 20, "the fault")
    assert "refuses the connection" in states[0][1]
