"""From the capture program's pipe to blocks: a bounded queue that drops the oldest, and positions that stay true."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np

from device.audio.resample import Blocker, Resampler
from device.features import FULL_SCALE
from device.types import Block

_OPEN_SECONDS = 10.0
"""How long a microphone may take to open."""
_READ_BYTES = 1 << 15


@dataclass(frozen=True)
class Chunk:
    """What one read brought: bytes, the number of its first byte, and when it came (Unix and monotonic seconds)."""

    data: bytes
    offset: int
    time: float
    monotonic: float


class Capture:
    """One life of the capture program, from its start to its end or ours; a context manager.

    A thread reads its pipe into a bounded queue, so that capture never waits for the classifier. When the queue is
    full the oldest sound is dropped; the offsets of the chunks tell how much.

    Args:
        command: the program and its arguments.
        queue_seconds: sound that may wait.
    """

    def __init__(self, command: list[str], queue_seconds: float) -> None:
        self._command = command
        self._queue_seconds = queue_seconds
        self._chunks: queue.Queue[Chunk | None] = queue.Queue()
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
            bytes_per_second = 2 * header["channels"] * header["sample_rate"]
            self._chunks.maxsize = max(8, round(self._queue_seconds * bytes_per_second / _READ_BYTES))
        return header

    def read(self, timeout: float, stop: threading.Event) -> Chunk | None:
        """The oldest chunk that waits; None when the program ended, delivers nothing, or `stop` is set."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and not stop.is_set():
            try:
                return self._chunks.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _read(self, pipe: IO[bytes]) -> None:
        """Run on its own thread: copy from the pipe to the queue until the program ends."""
        with pipe:
            self._header.put(pipe.readline())
            offset = 0
            while data := pipe.read(_READ_BYTES):
                self._put(Chunk(data, offset, time.time(), time.monotonic()))
                offset += len(data)
        self._put(None)

    def _put(self, chunk: Chunk | None) -> None:
        while True:
            try:
                self._chunks.put_nowait(chunk)
            except queue.Full:
                try:
                    self._chunks.get_nowait()
                except queue.Empty:
                    continue
            else:
                return


class BlockStream:
    """From the bytes of one capture to blocks, with their positions and times.

    Args:
        rate: Hz, of the capture.
        channels: of the capture.
        sample_rate: Hz, of the blocks.
        position: of the first block.
    """

    def __init__(self, rate: int, channels: int, sample_rate: int, position: int) -> None:
        self._rate, self._channels, self._sample_rate = rate, channels, sample_rate
        self._start = self._position = position
        self._rest = b""
        self._expected = 0
        self._renew()

    def _renew(self) -> None:
        self._resampler, self._blocker = Resampler(self._rate, self._sample_rate), Blocker(self._sample_rate)

    def feed(self, chunk: Chunk) -> Iterator[Block]:
        """Take the next chunk; its frames, shape (n, channels), int16, are in `frames` afterwards."""
        frame_bytes = 2 * self._channels
        if chunk.offset != self._expected:  # the queue overflowed: go on where the sound goes on
            self._renew()
            skipped = -chunk.offset % frame_bytes
            self._rest, data = b"", chunk.data[skipped:]
            first_frame = (chunk.offset + skipped) // frame_bytes
            self._position = max(self._position, self._start + first_frame * self._sample_rate // self._rate)
        else:
            data = self._rest + chunk.data
        self._expected = chunk.offset + len(chunk.data)
        whole = len(data) // frame_bytes * frame_bytes
        self._rest = data[whole:]
        self.frames = np.frombuffer(data[:whole], "<i2").reshape(-1, self._channels)
        blocks = self._blocker.feed(self._resampler.feed(self.frames.astype(np.float32) / np.float32(FULL_SCALE)))
        for number, samples in enumerate(blocks):
            age = (len(blocks) - number) * len(samples) / self._sample_rate
            yield Block(samples, self._position, chunk.time - age)
            self._position += len(samples)
