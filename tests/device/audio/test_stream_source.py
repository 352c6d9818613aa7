"""Tests of streams as a source, with Debian's ffmpeg: they are opened again after any fault, and keep their secrets."""

import logging
import os
import shutil
import signal
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from stream_servers import LOGIN, RATE, HttpServer, RtspServer
from streams import blocks_of, listening
from support import wait_until

PASSWORD = LOGIN.partition(":")[2]
needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed: apt-get install ffmpeg"
)


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
def test_a_channel_of_an_http_stream_arrives(http):
    """The tone of the chosen channel arrives in blocks, without a gap; the server's burst is placed before now."""
    started = time.time()
    with listening(f"http://{LOGIN}@127.0.0.1:{http.port}/sound.wav", (2,)) as (source, items, states):
        wait_until(lambda: len(blocks_of(items)) >= 200, 20, "the blocks")
    assert abs(pitch(blocks_of(items)) - 2000) <= 4
    assert blocks_of(items)[0].time == pytest.approx(started - http.burst_seconds, abs=2.5)
    assert [block.position for block in blocks_of(items)] == [480 * number for number in range(len(blocks_of(items)))]
    assert source.lost_samples == 0
    used = f"listens to 'http://127.0.0.1:{http.port}' at 16000 Hz, 2 channels, of which 2 are used"
    assert states == [("ok", used)]


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
def test_ffmpeg_ends_with_the_capture_process(rtsp):
    """The process of ffmpeg ends when its parent is killed, and when the source stops."""
    others = children()  # of earlier tests in this process

    def own():
        return [process for process in children() if process not in others]

    with listening(f"rtsp://{LOGIN}@127.0.0.1:{rtsp.port}/sound") as (_, items, _):
        wait_until(lambda: len(blocks_of(items)) >= 10, 20, "the blocks")
        worker, ffmpeg = own()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{ffmpeg}").exists(), 5, "the end of ffmpeg")
        wait_until(lambda: len(own()) == 2, 20, "the next ffmpeg")
    wait_until(lambda: own() == [], 5, "the end of the second ffmpeg")
