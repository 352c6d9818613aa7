"""Capture process: starts the program that holds the microphone, reads it, and kills it."""

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

from device.audio.chunk_queue import Chunk, ChunkQueue
from device.audio.packets import PacketError, read_line, read_packet
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_OPEN_SECONDS = 10.0
"""Longest time in which a microphone opens, s."""
_BUFFER_BYTES = 1 << 17
"""Buffer of the pipe, bytes: larger than a packet, so that one call of the system reads it."""
_MOST_CHANNELS, _HIGHEST_RATE = 64, 768_000
_DIED = {"state": "busy", "message": "the capture process ended at once. Run `earshot devices` to see why"}


def capture_command(device: str) -> list[str]:
    """Return the command of the capture process for a value of `audio.device`.

    Names of microphones may follow: they are taken only if no other is left.
    """
    return [sys.executable, "-m", "device.audio.capture_worker", device]


def find_capture_process(device: str, processes: Path = Path("/proc")) -> int | None:
    """Return the id of a running capture process for this `audio.device`, or None."""
    arguments = [os.fsencode(each) for each in capture_command(device)[1:]]
    for process in processes.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process may end at any time
            if process.read_bytes().split(b"\0")[1:-1][: len(arguments)] == arguments:
                return int(process.parent.name)
    return None


class CaptureProcess:
    """Capture process and the thread that reads it; a context manager.

    The thread copies its pipe to a bounded queue, so that capture never waits for the classifier.

    Args:
        command: the program and its arguments.
        queue_seconds: sound that may wait in the queue, s.

    Attributes:
        server_source: see `Packet`; None before it is known, or without a sound server.
    """

    def __init__(self, command: Sequence[str], queue_seconds: float) -> None:
        self._command = command
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
            self._command,
            bufsize=_BUFFER_BYTES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # it has no state to save, and PortAudio may hang
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._thread.stop()

    def header(self) -> dict[str, Any]:
        """Return the microphone's name, sample_rate and channels; or `state` and `message` if it cannot be read."""
        try:
            header = self._header.get(timeout=_OPEN_SECONDS)
        except queue.Empty:
            return {
                "state": "stalled",
                "message": f"the microphone did not open within {_OPEN_SECONDS:.0f} s. Plug it in again, "
                "or close other programs that record from it",
            }
        if "state" not in header:
            self._chunks.maximum_bytes = round(self._queue_seconds * 2 * header["channels"] * header["sample_rate"])
        return header

    def set_reads_per_packet(self, reads: int) -> None:
        """Set the number of reads that are sent together; returns at once. A process that has ended ignores it.

        Args:
            reads: 1 to 255.
        """
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._process.stdin.fileno(), bytes([reads]))

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
        header = _DIED
        with self._process.stdout as pipe:
            try:
                header = _checked_header(read_line(pipe))
            except PacketError as error:
                _LOGGER.warning("the capture process does not report its microphone (%s). It is started again", error)
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


def _checked_header(header: dict[str, Any] | None) -> dict[str, Any]:
    """Return the header, or a state if the process has ended without one.

    Raises:
        PacketError: fields are missing or out of range.
    """
    match header:
        case None:
            return _DIED
        case {"state": str(), "message": str()}:
            return header
        case {"name": str(), "sample_rate": int(rate), "channels": int(channels)}:
            if 0 < rate <= _HIGHEST_RATE and 0 < channels <= _MOST_CHANNELS:
                return header
    raise PacketError("incomplete header")
