"""Capture process: starts the program that holds the microphone, reads it, and kills it."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Self

from device.audio.chunk_queue import Chunk, ChunkQueue

_OPEN_SECONDS = 10.0
"""Longest time in which a microphone opens, s."""


def capture_command(device: str) -> list[str]:
    """Return the command of the capture process for a value of `audio.device`."""
    return [sys.executable, "-m", "device.audio.capture_worker", device]


def find_capture_process(device: str, processes: Path = Path("/proc")) -> int | None:
    """Return the id of a running capture process for this `audio.device`, or None."""
    arguments = [os.fsencode(each) for each in capture_command(device)[1:]]
    for process in processes.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process may end at any time
            if process.read_bytes().split(b"\0")[1:-1] == arguments:
                return int(process.parent.name)
    return None


class CaptureProcess:
    """Capture process and the thread that reads it; a context manager.

    The thread copies its pipe to a bounded queue, so that capture never waits for the classifier.

    Args:
        command: the program and its arguments.
        queue_seconds: sound that may wait in the queue, s.
    """

    def __init__(self, command: list[str], queue_seconds: float) -> None:
        self._command = command
        self._queue_seconds = queue_seconds
        self._chunks = ChunkQueue()
        self._header: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        # In a session of its own, because the daemon handles Ctrl-C and ends its parts in order.
        # stderr is discarded: PortAudio prints each failure there, and the header contains the reason.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout,), name="capture", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it has no state to save, and PortAudio may hang
        self._process.wait()
        self._thread.join()

    def header(self) -> dict[str, Any]:
        """Return the microphone's name, sample_rate and channels; or `state` and `message` if it cannot be read."""
        try:
            line = self._header.get(timeout=_OPEN_SECONDS)
        except queue.Empty:
            return {
                "state": "stalled",
                "message": f"the microphone did not open within {_OPEN_SECONDS:.0f} s. Plug it in again, "
                "or close other programs that record from it",
            }
        if not line:
            return {"state": "busy", "message": "the capture process ended at once. Run `earshot devices` to see why"}
        header: dict[str, Any] = json.loads(line)
        if "state" not in header:
            self._chunks.maximum_bytes = round(self._queue_seconds * 2 * header["channels"] * header["sample_rate"])
        return header

    def read(self, timeout: float, stop: threading.Event) -> Chunk | None:
        """Return the oldest chunk, or None.

        Args:
            timeout: longest wait for a chunk, s.
            stop: when set, None is returned.

        Returns:
            None if the process has ended, delivers nothing within `timeout`, or `stop` is set.
        """
        return self._chunks.read(timeout, stop)

    def _read(self, pipe: IO[bytes]) -> None:
        """Copy from the pipe to the queue until the process ends, on a thread of its own."""
        with pipe:
            self._header.put(pipe.readline())
            self._chunks.fill(pipe)
