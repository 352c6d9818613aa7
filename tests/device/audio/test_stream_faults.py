"""Tests of faults of ffmpeg: it stalls, ends, fails in a way of its own, or is not installed."""

import os
import sys
import threading
import time

import pytest
from stream_servers import RATE, wav_header
from streams import blocks_of, listening
from support import wait_until

from device.audio.capture_kind import STREAM
from device.audio.stream_faults import stream_fault
from device.audio.stream_source import StreamSource
from device.audio.stream_worker import concat_script
from device.errors import UnavailableError


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """Return a function that replaces ffmpeg by a Python program."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("device.audio.captured_source._RETRY_SECONDS", (0.05,))

    def write(*lines, channels=1):
        start = "import os, sys, time; script = sys.stdin.read()"
        header = f"header = {wav_header(channels)!r}"
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


def test_an_address_cannot_leave_its_line():
    """Quotation marks in an address are escaped, and a line break is refused."""
    assert "file 'http://x/a'\\''b'" in concat_script("http://x/a'b")
    with pytest.raises(ValueError, match="one line"):
        concat_script("http://x/a\nfile '/etc/passwd'")
    assert stream_fault("n", [])["message"].startswith("stream 'n' cannot be read (it ended before any sound)")


def test_a_channel_that_the_stream_lacks_is_an_error(fake_ffmpeg):
    """The message names the channels that exist."""
    fake_ffmpeg("os.write(1, header + bytes(9600))", "time.sleep(600)", channels=2)
    with listening("rtsp://camera/x", (1, 3)) as (_, _, states):
        wait_until(lambda: states, 20, "the fault")
    message = "stream 'rtsp://camera' has no channel 3. Correct audio.channels: use numbers from 1 to 2"
    assert states[0] == ("no_channel", message)
