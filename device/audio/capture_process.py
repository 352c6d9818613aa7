"""The capture program as a process of ours: started, read, and killed."""

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
"""How long a microphone may take to open."""


def capture_command(device: str) -> list[str]:
    """The capture program, for the microphone that `audio.device` names so."""
    return [sys.executable, "-m", "device.audio.capture_worker", device]


def find_capture_process(device: str, processes: Path = Path("/proc")) -> int | None:
    """Process id of a daemon's capture program for that `audio.device`; None where none runs."""
    arguments = [os.fsencode(each) for each in capture_command(device)[1:]]
    for process in processes.glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end while we look
            if process.read_bytes().split(b"\0")[1:-1] == arguments:
                return int(process.parent.name)
    return None


class CaptureProcess:
    """One life of the capture program, from its start to its end or ours; a context manager.

    A thread reads its pipe into a bounded queue, so that capture never waits for the classifier.

    Args:
        command: the program and its arguments.
        queue_seconds: sound that may wait.
    """

    def __init__(self, command: list[str], queue_seconds: float) -> None:
        self._command = command
        self._queue_seconds = queue_seconds
        self._chunks = ChunkQueue()
        self._header: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        # A session of its own: Ctrl-C is the daemon's to handle, in its order.
        # PortAudio comments each failure on stderr; what matters is in the header, or in the stream's end.
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
        self._process.kill()  # it has nothing to lose, and PortAudio may hang
        self._process.wait()
        self._thread.join()

    def header(self) -> dict[str, Any]:
        """What the program said of the microphone; or `state` and `message`, where there is none."""
        try:
            line = self._header.get(timeout=_OPEN_SECONDS)
        except queue.Empty:
            return {"state": "stalled", "message": f"the microphone did not open within {_OPEN_SECONDS:.0f} s"}
        if not line:
            return {"state": "busy", "message": "the capture program ended at once. Run `earshot devices` to see why"}
        header: dict[str, Any] = json.loads(line)
        if "state" not in header:
            self._chunks.maximum_bytes = round(self._queue_seconds * 2 * header["channels"] * header["sample_rate"])
        return header

    def read(self, timeout: float, stop: threading.Event) -> Chunk | None:
        """The oldest chunk that waits; None when the program ended, delivers nothing, or `stop` is set."""
        return self._chunks.read(timeout, stop)

    def _read(self, pipe: IO[bytes]) -> None:
        """Run on its own thread: copy from the pipe to the queue until the program ends."""
        with pipe:
            self._header.put(pipe.readline())
            self._chunks.fill(pipe)
