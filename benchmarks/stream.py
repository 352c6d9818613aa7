"""Stream benchmark: an RTSP server is killed repeatedly, and each outage is compared with the truth.

    python benchmarks/stream.py [--kills 20] [--seconds 8]

The server is GStreamer's, in a process of its own (Debian: python3-gi gir1.2-gst-rtsp-server-1.0
gstreamer1.0-plugins-base gstreamer1.0-plugins-good). Its sound is a short tick each second of the wall clock, so each
tick that arrives shows the error of the time that Earshot gives to the sound.
"""

import argparse
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import numpy as np
from figures import Figure, Result, Skipped, make_parser, note, publish

from device.audio.stream_source import StreamSource
from device.types import Blocks

RATE = 16000
BLOCK = 480
_LOGIN = ("cam", "s3cret")
_SERVER = r"""
import math, struct, sys, threading, time
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
RATE, STEP = 16000, 320

def feed(source):
    tone = [round(16000 * math.sin(2 * math.pi * 2000 * n / RATE)) for n in range(RATE)]
    sample = math.floor(time.time() * RATE)
    while True:
        time.sleep(max(0.0, (sample + STEP) / RATE - time.time()))
        values = [tone[n % RATE] if n % RATE < 800 else 10 * (n % 3) for n in range(sample, sample + STEP)]
        source.emit("push-buffer", Gst.Buffer.new_wrapped(struct.pack(f">{STEP}h", *values)))  # refused until it plays
        sample += STEP

def configure(_factory, media):
    source = media.get_element().get_by_name_recurse_up("sound")
    threading.Thread(target=feed, args=(source,), daemon=True).start()

server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( appsrc name=sound is-live=true do-timestamp=true format=time "
    "caps=audio/x-raw,format=S16BE,rate=16000,channels=1,layout=interleaved ! rtpL16pay name=pay0 pt=96 )"
)
factory.connect("media-configure", configure)
role = GstRtspServer.RTSPToken()
role.set_string("media.factory.role", "user")
auth = GstRtspServer.RTSPAuth()
auth.add_basic(GstRtspServer.RTSPAuth.make_basic(sys.argv[2], sys.argv[3]), role)
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
for right in ("access", "construct"):
    permissions.add_permission_for_role("user", f"media.factory.{right}", True)
factory.set_permissions(permissions)
server.get_mount_points().add_factory("/sound", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


class Ear:
    """Reader of a stream on a thread of its own.

    Attributes:
        blocks: number of blocks so far.
        ticks: start of each tick, Unix seconds.
        gaps: for each reconnection, lost sound by the positions and by the times of the blocks, s.
    """

    def __init__(self, url: str) -> None:
        self._stop = threading.Event()
        self.source = StreamSource(url, RATE, queue_seconds=10, stop=self._stop)
        self.blocks = 0
        self.ticks: list[float] = []
        self.gaps: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        end, end_time, is_loud = 0, 0.0, False
        for item in self.source:
            if not isinstance(item, Blocks):
                continue
            if item.position > end and self.blocks:
                self.gaps.append(((item.position - end) / RATE, item.time - end_time))
            end, end_time = item.end, item.time + len(item.samples) / RATE
            for start in range(0, len(item.samples), BLOCK):
                loud = np.flatnonzero(np.abs(item.samples[start : start + BLOCK].astype(int)) > 2000)
                if len(loud) and not is_loud:
                    self.ticks.append(item.time + (start + loud[0]) / RATE)
                is_loud = bool(len(loud))
                self.blocks += 1

    def close(self) -> None:
        """End the source."""
        self._stop.set()
        self._thread.join()


class NoServerError(Exception):
    """The server does not start."""


def start_server(port: int) -> subprocess.Popen[str]:
    """Start the server; return it when it accepts connections.

    Raises:
        NoServerError: one of its packages is missing.
    """
    command = ["/usr/bin/python3", "-c", _SERVER, str(port), *_LOGIN]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    if server.stdout.readline() != "ready\n":
        raise NoServerError("python3-gi, gir1.2-gst-rtsp-server-1.0 or GStreamer's base and good plugins are missing")
    return server


def wait_for_blocks(ear: Ear, count: int, seconds: float) -> None:
    """Wait until further blocks have arrived."""
    target, deadline = ear.blocks + count, time.monotonic() + seconds
    while ear.blocks < target:
        if time.monotonic() > deadline:
            raise SystemExit(f"no sound within {seconds:.0f} s: {ear.source.state}")
        time.sleep(0.01)


def _largest_ms(seconds: list[float]) -> float:
    """Return the largest error, ms."""
    return max(abs(value) for value in seconds) * 1e3


def measure(options: argparse.Namespace) -> Iterator[Result]:
    """Kill the server as often as asked, and yield the figures of all outages."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        server = start_server(port)
    except NoServerError as error:
        yield Skipped("stream", str(error))
        return
    ear = Ear(f"rtsp://{':'.join(_LOGIN)}@127.0.0.1:{port}/sound")
    gap_errors, tick_errors, recoveries = [], [], []
    wait_for_blocks(ear, round(options.seconds / 0.03), 60)
    for number in range(options.kills):
        server.kill()
        server.wait()
        gaps = len(ear.gaps)
        time.sleep(0.5 + number % 4)
        server = start_server(port)
        back = time.time()
        wait_for_blocks(ear, 1, 60)
        recoveries.append(time.time() - back)
        seen = len(ear.ticks)
        wait_for_blocks(ear, round(options.seconds / 0.03), 60)
        gap, by_time = map(sum, zip(*ear.gaps[gaps:], strict=True))
        gap_errors.append(gap - by_time)
        tick_errors += [tick - round(tick) for tick in ear.ticks[seen:]]
        note(f"kill {number + 1}: sound again {recoveries[-1]:.1f} s after the server, {gap:.2f} s counted as lost")
    ear.close()
    server.kill()
    yield Figure("stream: sound again after the server", float(np.median(recoveries)), "s")
    yield Figure("stream: sound again after the server, longest", max(recoveries), "s")
    yield Figure(f"stream: error of time, largest of {len(tick_errors)} ticks", _largest_ms(tick_errors), "ms")
    yield Figure("stream: error of lost sound, largest", _largest_ms(gap_errors), "ms")


def main() -> None:
    """Measure, and print the results."""
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8.0, help="sound between two kills, s")
    options = parser.parse_args()
    publish(measure(options), as_json=options.json)


if __name__ == "__main__":
    main()
