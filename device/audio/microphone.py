"""The microphone as a source that never dies: whatever happens to it, it is opened again."""

import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np

from device.audio.capture import require_pyaudio
from device.audio.diagnosis import Diagnosis, State
from device.audio.resample import Blocker, Resampler
from device.features import FULL_SCALE
from device.types import Block, SourceLost

_LOGGER = logging.getLogger(__name__)

_OPEN_SECONDS = 10.0
"""How long a microphone may take to open."""
_STALLED_SECONDS = 4.0
"""A stream that delivers nothing for so long is dead: sound servers deliver at least every two seconds."""
_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to open it; the last one is repeated for ever."""
_REOPEN_FLAT_SECONDS = 120.0
"""Zeros or a constant for so long, and opening it again may help."""
_READ_BYTES = 1 << 15


@dataclass(frozen=True)
class _Chunk:
    """What one read brought: bytes, the number of its first byte, and when it came (Unix and monotonic seconds)."""

    data: bytes
    offset: int
    time: float
    monotonic: float


class MicrophoneSource:
    """Blocks from a microphone, for ever: absent, unplugged, busy or dead, it is waited for and opened again.

    Sound that was lost, for whatever reason, is counted, and the positions of the blocks jump by as much.

    Args:
        device: "auto", "usb:VENDOR:PRODUCT", or a part of the microphone's name.
        sample_rate: Hz, of the blocks.
        queue_seconds: sound that may wait for the reader.
        stop: when set, the source ends.
        on_state: told of each change: the state, and a line for a person.
    """

    def __init__(
        self,
        device: str,
        sample_rate: int,
        *,
        queue_seconds: float,
        stop: threading.Event,
        on_state: Callable[[State, str], None] = lambda _state, _message: None,
    ) -> None:
        self._command = [sys.executable, "-m", "device.audio.capture", device]
        self._sample_rate = sample_rate
        self._queue_seconds = queue_seconds
        self._stop = stop
        self._on_state = on_state
        self._position = 0
        self._last_heard = 0.0
        self.state: State = "missing"
        self.lost_samples = 0

    def __str__(self) -> str:
        return f"microphone {self._command[-1]!r}"

    def __enter__(self) -> Self:
        """Nothing is opened yet: a microphone may come and go.

        Raises:
            UnavailableError: PyAudio is not installed, so none will ever come.
        """
        require_pyaudio()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open when nobody iterates."""

    def __iter__(self) -> Iterator[Block | SourceLost]:
        """Yield blocks, and a `SourceLost` wherever the stream broke, until `stop` is set."""
        failures = 0
        while not self._stop.is_set():
            with Capture(self._command, self._queue_seconds) as capture:
                header = capture.header()
                if "state" in header:
                    self._tell(header["state"], header["message"])
                else:
                    failures = 0
                    yield from self._listen(capture, header)
                    if self._last_heard and not self._stop.is_set():
                        yield SourceLost(self._position)
            self._stop.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1

    def _listen(self, capture: "Capture", header: dict[str, Any]) -> Iterator[Block]:
        """Yield the blocks of one life of the capture program, until it ends, stalls, or stays flat."""
        rate, channels = header["sample_rate"], header["channels"]
        stream = _Stream(rate, channels, self._sample_rate, self._resume())
        diagnosis = Diagnosis(rate)
        flat_since: float | None = None
        self._tell("ok", f"listens to {header['name']!r} at {rate} Hz, {channels} channels")
        while not self._stop.is_set():
            chunk = capture.read(_STALLED_SECONDS, self._stop)
            if chunk is None:
                if not self._stop.is_set():
                    self._tell("stalled", f"microphone {header['name']!r} delivers nothing any more: opening it again")
                return
            for block in stream.feed(chunk):
                self.lost_samples += block.position - self._position
                self._position = block.end
                self._last_heard = chunk.monotonic
                yield block
            diagnosis.feed(stream.frames, chunk.monotonic)
            self._tell(diagnosis.state, _ADVICE[diagnosis.state].format(name=header["name"]))
            flat = diagnosis.state in ("silent", "dc")
            flat_since = (flat_since or chunk.monotonic) if flat else None
            if flat_since is not None and chunk.monotonic - flat_since > _REOPEN_FLAT_SECONDS:
                return

    def _resume(self) -> int:
        """Position at which a stream goes on that was broken: it counts the time, too."""
        if not self._last_heard:
            return 0
        return self._position + round((time.monotonic() - self._last_heard) * self._sample_rate)

    def _tell(self, state: State, message: str) -> None:
        """Say what changed, once."""
        if state != self.state:
            self.state = state
            self._on_state(state, message)


_ADVICE: dict[State, str] = {
    "ok": "microphone {name!r} is well",
    "silent": "microphone {name!r} delivers digital silence. Is it muted? Check its switch and alsamixer",
    "dc": "microphone {name!r} delivers a constant. It is broken, or its cable is",
    "clipping": "microphone {name!r} is too loud and clips. Turn its gain down in alsamixer",
    "wrong_rate": "microphone {name!r} delivers at another pace than it says. Try another USB port or a powered hub",
}


class _Stream:
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

    def feed(self, chunk: _Chunk) -> Iterator[Block]:
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
        self._chunks: queue.Queue[_Chunk | None] = queue.Queue()
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

    def read(self, timeout: float, stop: threading.Event) -> _Chunk | None:
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
                self._put(_Chunk(data, offset, time.time(), time.monotonic()))
                offset += len(data)
        self._put(None)

    def _put(self, chunk: _Chunk | None) -> None:
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
