"""Stream program: copies the sound that ffmpeg reads from a stream to stdout, in a process of its own.

    python -m device.audio.stream_worker

Its standard input is one line: the address of the stream. The command line would show the password in it to every user
of this machine. ffmpeg receives the address in the same way, in a script of its concat demuxer on standard input.

The output consists of packets (device/audio/packets.py). If the stream cannot be opened, the header contains `state`
and `message`, and the program ends. It also ends with the stream; the daemon starts it again.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from typing import IO
from urllib.parse import urlsplit

from device.audio.packets import LARGEST_PACKET, Packet, encode_line
from device.audio.pipe_format import PipeFormat, recognize
from device.audio.stream_faults import stream_fault
from device.audio.worker import exit_with_parent, write
from device.util.urls import public_name

FFMPEG = "ffmpeg"
_READ_BYTES = 1 << 15
_BURST_SECONDS = 0.3
"""Time in which ffmpeg delivers the sound that it collected before, s."""
_KEPT_LINES = 20
_NETWORK_SECONDS = 10
"""Longest wait of ffmpeg for the network, s: shorter than the daemon's for this program, which knows no reason."""
_PROTOCOLS = "pipe,tcp,tls,http,https,httpproxy,crypto,rtp,srtp,rtsp,udp,rtmp,rtmps,ffrtmphttp,srt"
"""Protocols that a stream may use. A playlist on another server must not read files of this machine."""
_COMMAND = (
    FFMPEG,
    *("-nostdin", "-hide_banner", "-loglevel", "error"),
    *("-protocol_whitelist", _PROTOCOLS, "-f", "concat", "-safe", "0", "-i", "pipe:0"),
    *("-vn", "-sn", "-dn", "-c:a", "pcm_s16le", "-bitexact", "-flush_packets", "1", "-f", "wav", "pipe:1"),
)
_PR_SET_PDEATHSIG = 1


def concat_script(url: str) -> str:
    """Return the script with which ffmpeg opens a stream.

    Raises:
        ValueError: the address contains a line break.
    """
    if "\n" in url or "\r" in url:
        raise ValueError("an address has one line")
    microseconds = _NETWORK_SECONDS * 1_000_000
    if urlsplit(url).scheme in ("rtsp", "rtsps"):
        # Over TCP no packet is lost and no port opened. Without its pictures, a stream opens sooner and costs little.
        options = {"rtsp_transport": "tcp", "allowed_media_types": "audio", "timeout": microseconds}
    else:
        options = {"rw_timeout": microseconds}
    quoted = url.replace("'", "'\\''")
    lines = ["ffconcat version 1.0", f"file '{quoted}'", *(f"option {key} {value}" for key, value in options.items())]
    return "\n".join([*lines, ""])


def start_ffmpeg(url: str) -> "subprocess.Popen[bytes]":
    """Start ffmpeg, which ends with this process, however that ends.

    Raises:
        OSError: ffmpeg is not installed, or the system admits no further process.
    """
    prctl = ctypes.CDLL(None).prctl
    ffmpeg = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - the only thread runs it
    )
    assert ffmpeg.stdin is not None
    with ffmpeg.stdin as script:
        script.write(concat_script(url).encode())
    return ffmpeg


def main() -> None:
    """Copy the sound of a stream until it or the reader ends."""
    url = sys.stdin.readline().rstrip("\n")
    name = public_name(url)
    try:
        ffmpeg = start_ffmpeg(url)
    except OSError as error:
        write(encode_line(stream_fault(name, [f"ffmpeg cannot be started: {error.strerror}"])))
        return
    exit_with_parent()
    assert ffmpeg.stdout is not None
    assert ffmpeg.stderr is not None
    lines = deque[str](maxlen=_KEPT_LINES)
    reader = threading.Thread(target=_collect, args=(ffmpeg.stderr, lines), daemon=True)
    reader.start()
    head, found = _read_head(ffmpeg.stdout)
    if found is None:
        ffmpeg.kill()
        reader.join()
        write(encode_line(stream_fault(name, list(lines))))
        return
    write(encode_line({"name": name, "sample_rate": found.rate, "channels": found.channels}))
    write_samples((head + _read_burst(ffmpeg.stdout))[found.start :])
    while data := os.read(ffmpeg.stdout.fileno(), _READ_BYTES):
        write_samples(data)


def write_samples(data: bytes) -> None:
    """Write samples in packets that the daemon accepts."""
    for start in range(0, len(data), LARGEST_PACKET):
        write(Packet(data[start : start + LARGEST_PACKET]).encode())


def _collect(pipe: IO[bytes], lines: deque[str]) -> None:
    """Keep the last lines of ffmpeg."""
    for line in pipe:
        lines.append(line.decode(errors="replace").strip())


def _read_head(pipe: IO[bytes]) -> tuple[bytes, PipeFormat | None]:
    """Read from ffmpeg until its WAV header is complete; return the bytes, and None if they end before."""
    head = b""
    while data := os.read(pipe.fileno(), _READ_BYTES):
        head += data
        if (found := recognize(head, 0)) is not None:
            return head, found
    return head, None


def _read_burst(pipe: IO[bytes]) -> bytes:
    """Read what ffmpeg collected while it recognized the format: as one chunk it shows when the stream began."""
    burst, end = b"", time.monotonic() + _BURST_SECONDS
    while (left := end - time.monotonic()) > 0 and select.select([pipe], [], [], left)[0]:
        if not (data := os.read(pipe.fileno(), _READ_BYTES)):
            break
        burst += data
    return burst


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the daemon has ended or ends
