"""Capture process: starts the program that holds the microphone or reads the stream, reads it, and kills it."""

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

from device.audio.capture_kind import Capture
from device.audio.chunk_queue import Chunk, ChunkQueue
from device.audio.packets import PacketError, read_line, read_packet
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_BUFFER_BYTES = 1 << 17
"""Buffer of the pipe, bytes: larger than a packet, so that one call of the system reads it."""
_MOST_CHANNELS, _HIGHEST_RATE = 64, 768_000
_PROGRAM = ("-m", "device.audio.capture_worker")


def capture_command(device: str, channels: Sequence[int] = ()) -> list[str]:
    """Return the command of the capture process for values of `audio.device` and `audio.channels`.

    Names of microphones may follow: they are taken only if no other is left.
    """
    return [sys.executable, *_PROGRAM, device, str(max(channels, default=0))]


def find_capture_process(device: str, processes: Path = Path("/proc")) -> int | None:
    """Return the id of a running capture process for this `audio.device`, or None."""
    arguments = [os.fsencode(each) for each in (*_PROGRAM, device)]
    for process in processes.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process may end at any time
            if process.read_bytes().split(b"\0")[1:-1][: len(arguments)] == arguments:
                return int(process.parent.name)
    return None


class CaptureProcess:
    """Capture process and the thread that reads it; a context manager.

    The thread copies its pipe to a bounded queue, so that capture never waits for the classifier.

    Args:
        capture: the program, and the source that it reads.
        queue_seconds: sound that may wait in the queue, s.

    Attributes:
        server_source: see `Packet`; None before it is known, or without a sound server.
    """

    def __init__(self, capture: Capture, queue_seconds: float) -> None:
        self._capture, self._kind = capture, capture.kind
        self._queue_seconds = queue_seconds
        self._chunks = ChunkQueue()
        self._header: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = SupervisedThread("capture", self._read, finite=True)
        self.server_source: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        """Start the process, unless it runs. If the system admits no further one, `header` returns that."""
        try:
            if self._process is None:
                self._start()
        except (OSError, RuntimeError) as error:
            message = f"the capture process cannot be started ({error}). Close other programs on this machine"
            self._header.put({"state": "busy", "message": message})
        return self

    def _start(self) -> None:
        """Start the process and its thread.

        Raises:
            OSError: there is no memory, or there are too many processes or open files.
            RuntimeError: there are too many threads.
        """
        # In a session of its own, because the daemon handles Ctrl-C and ends its parts in order.
        # stderr is discarded: PortAudio prints each failure there, and the header contains the reason.
        self._process = subprocess.Popen(
            self._capture.command,
            bufsize=_BUFFER_BYTES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        if self._capture.request:  # its end shows the program that it is complete
            with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(self._capture.request)
        else:
            os.set_blocking(self._process.stdin.fileno(), False)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # it has no state to save, and PortAudio may hang
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._thread.stop()

    def header(self, stop: threading.Event | None = None) -> dict[str, Any]:
        """Return the source's name, sample_rate and channels; or `state` and `message` if it cannot be read.

        Args:
            stop: when set, the source counts as one that does not open.
        """
        header = self._wait_for_header(stop)
        if "state" in header:
            return header
        if max(self._capture.channels, default=0) > header["channels"]:
            return self._without_channel(header)
        self._chunks.maximum_bytes = round(self._queue_seconds * 2 * header["channels"] * header["sample_rate"])
        return header

    def set_reads_per_packet(self, reads: int) -> None:
        """Set the number of reads that are sent together; returns at once. A process that has ended ignores it.

        Args:
            reads: 1 to 255.
        """
        stdin = None if self._process is None else self._process.stdin
        if stdin is not None and not stdin.closed:
            with contextlib.suppress(OSError):
                os.write(stdin.fileno(), bytes([reads]))

    def _wait_for_header(self, stop: threading.Event | None) -> dict[str, Any]:
        deadline = time.monotonic() + self._kind.open_seconds
        while time.monotonic() < deadline and not (stop is not None and stop.is_set()):
            with contextlib.suppress(queue.Empty):
                return self._header.get(timeout=0.1)  # `stop` does not notify this queue
        message = f"the {self._kind.noun} did not open within {self._kind.open_seconds:.0f} s. {self._kind.not_open}"
        return {"state": "stalled", "message": message}

    def _without_channel(self, header: dict[str, Any]) -> dict[str, Any]:
        """Return the state of a source that has fewer channels than are used."""
        count, missing = header["channels"], max(self._capture.channels)
        allowed = "leave it empty" if count == 1 else f"use numbers from 1 to {count}"
        message = f"{self._kind.noun} {header['name']!r} has no channel {missing}. Correct audio.channels: {allowed}"
        return {"state": "no_channel", "message": message}

    def read(self, timeout: float, stop: threading.Event) -> Chunk | None:
        """Return the oldest chunk, or None.

        Args:
            timeout: longest wait for a chunk, s.
            stop: when set, None is returned.

        Returns:
            None if the process has ended, delivers nothing within `timeout`, or `stop` is set.
        """
        return self._chunks.read(timeout, stop)

    def _read(self) -> None:
        """Copy from the pipe to the queue until the process ends, on a thread of its own."""
        assert self._process is not None
        assert self._process.stdout is not None
        header = died = {"state": "busy", "message": f"the capture process ended at once. {self._kind.not_alive}"}
        with self._process.stdout as pipe:
            try:
                header = _checked_header(read_line(pipe)) or died
            except PacketError as error:
                _LOGGER.warning("the capture process does not report its source (%s). It is started again", error)
            finally:
                self._header.put(header)
            self._chunks.fill(self._reads(pipe) if "state" not in header else ())

    def _reads(self, pipe: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
        """Yield the samples of each packet, and whether sound was lost right before them."""
        try:
            while (packet := read_packet(pipe)) is not None:
                self.server_source = packet.server_source or self.server_source
                if packet.samples:
                    yield packet.samples, packet.after_loss
        except PacketError as error:
            _LOGGER.warning("the capture process is out of step (%s). It is started again", error)


def _checked_header(header: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the header; None if the process has ended without one.

    Raises:
        PacketError: fields are missing or out of range.
    """
    match header:
        case None:
            return None
        case {"state": str(), "message": str()}:
            return header
        case {"name": str(), "sample_rate": int(rate), "channels": int(channels)}:
            if 0 < rate <= _HIGHEST_RATE and 0 < channels <= _MOST_CHANNELS:
                return header
    raise PacketError("incomplete header")
