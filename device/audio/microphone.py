"""The microphone, through PyAudio (PortAudio)."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np

from device.audio.resample import Blocker, Resampler
from device.errors import UnavailableError
from device.features import FULL_SCALE
from device.native import silent_stderr
from device.types import Block

_CHUNK_SECONDS = 0.06
"""What PortAudio hands over at a time."""
_SILENT_SECONDS = 5.0
"""A stream that delivers nothing for so long has lost its microphone."""
_RATES = (48000, 44100, 32000, 16000)
_MAX_CHANNELS = 2
"""More than two are an array whose channels differ too much in time to be averaged."""


@dataclass(frozen=True)
class InputDevice:
    """A microphone, as PortAudio lists it.

    Attributes:
        index: PortAudio's number; it moves when something is plugged in.
        name: what `audio.device` is matched against.
        channels: as many as it has.
        sample_rate: Hz, its default.
        is_default: whether `auto` takes it.
    """

    index: int
    name: str
    channels: int
    sample_rate: int
    is_default: bool


@dataclass(frozen=True)
class _Chunk:
    """What one callback brought: where its first frame lies, int16 bytes, and when it arrived (Unix seconds)."""

    position: int
    data: bytes
    arrived: float


class MicrophoneSource:
    """Blocks from a microphone, for as long as it delivers.

    PortAudio's thread only copies into a bounded queue. When the reader is too slow the oldest sound is dropped
    and counted, and the positions of the blocks jump by as much.

    Args:
        device: "auto", or a part of the microphone's name.
        sample_rate: Hz, of the blocks.
        queue_seconds: sound that may wait.
        stop: when set, the source ends.
    """

    def __init__(self, device: str, sample_rate: int, *, queue_seconds: float, stop: threading.Event) -> None:
        self._device = device
        self._sample_rate = sample_rate
        self._chunks: queue.Queue[_Chunk] = queue.Queue(maxsize=max(2, round(queue_seconds / _CHUNK_SECONDS)))
        self._stop = stop
        self._captured = 0
        self.lost_samples = 0

    def __str__(self) -> str:
        return f"microphone {self.name!r} ({self._source_rate} Hz, {self._channels} channels)"

    def __enter__(self) -> Self:
        """Open the microphone.

        Raises:
            UnavailableError: PyAudio or the microphone is missing, or it is in use.
        """
        pyaudio = _pyaudio()
        with silent_stderr():
            self._portaudio = pyaudio.PyAudio()
        try:
            found = _choose(list_devices(self._portaudio), self._device)
            self.name, self._channels = found.name, min(found.channels, _MAX_CHANNELS)
            self._stream, self._source_rate = self._open(pyaudio, found)
        except BaseException:
            self._portaudio.terminate()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._portaudio.terminate()

    def __iter__(self) -> Iterator[Block]:
        """Yield blocks until `stop` is set.

        Raises:
            UnavailableError: the microphone delivers nothing any more.
        """
        resampler = Resampler(self._source_rate, self._sample_rate)
        blocker = Blocker(self._sample_rate)
        position = expected = 0
        while (chunk := self._next_chunk()) is not None:
            if chunk.position != expected:  # the queue overflowed: go on where the sound goes on
                resampler, blocker = (
                    Resampler(self._source_rate, self._sample_rate),
                    Blocker(self._sample_rate),
                )
                resumed = max(position, chunk.position * self._sample_rate // self._source_rate)
                self.lost_samples += resumed - position
                position = resumed
            frames = np.frombuffer(chunk.data, np.int16).reshape(-1, self._channels)
            expected = chunk.position + len(frames)
            blocks = blocker.feed(resampler.feed(frames.astype(np.float32) / np.float32(FULL_SCALE)))
            for number, samples in enumerate(blocks):
                age = (len(blocks) - number) * len(samples) / self._sample_rate
                yield Block(samples, position, chunk.arrived - age)
                position += len(samples)

    def _next_chunk(self) -> _Chunk | None:
        """The oldest chunk that waits; None once `stop` is set."""
        deadline = time.monotonic() + _SILENT_SECONDS
        while not self._stop.is_set():
            try:
                return self._chunks.get(timeout=0.2)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"microphone {self.name!r} has delivered nothing for {_SILENT_SECONDS:.0f} s. "
                        "Check its plug, then start again"
                    ) from None
        return None

    def _open(self, pyaudio: ModuleType, found: InputDevice) -> tuple[Any, int]:
        """Open at the first rate that the hardware takes; gives the running stream and its rate."""
        problem: OSError | None = None
        for rate in dict.fromkeys((found.sample_rate, *_RATES)):
            try:
                with silent_stderr():
                    stream = self._portaudio.open(
                        rate=rate,
                        channels=self._channels,
                        format=pyaudio.paInt16,
                        input=True,
                        input_device_index=found.index,
                        frames_per_buffer=round(_CHUNK_SECONDS * rate),
                        stream_callback=self._on_chunk,
                    )
            except OSError as error:
                problem = error
            else:
                return stream, rate
        raise UnavailableError(
            f"microphone {found.name!r} cannot be opened ({problem}). Close what else records from it"
        ) from problem

    def _on_chunk(self, data: bytes, frame_count: int, _times: Mapping[str, float], _flags: int) -> tuple[None, int]:
        """Run on PortAudio's thread: copy and return."""
        chunk = _Chunk(self._captured, data, time.time())
        self._captured += frame_count
        while True:
            try:
                self._chunks.put_nowait(chunk)
            except queue.Full:
                try:
                    self._chunks.get_nowait()
                except queue.Empty:
                    continue
            else:
                return None, 0  # paContinue


def input_devices() -> list[InputDevice]:
    """List the microphones of this machine.

    Raises:
        UnavailableError: PyAudio is not installed.
    """
    with silent_stderr():
        portaudio = _pyaudio().PyAudio()
    try:
        return list_devices(portaudio)
    finally:
        portaudio.terminate()


def list_devices(portaudio: Any) -> list[InputDevice]:
    """List what a running PortAudio can record from."""
    try:
        default = portaudio.get_default_input_device_info()["index"]
    except OSError:
        default = None
    infos = [portaudio.get_device_info_by_index(index) for index in range(portaudio.get_device_count())]
    return [
        InputDevice(
            index=info["index"],
            name=info["name"],
            channels=info["maxInputChannels"],
            sample_rate=round(info["defaultSampleRate"]),
            is_default=info["index"] == default,
        )
        for info in infos
        if info["maxInputChannels"] > 0
    ]


def _choose(devices: list[InputDevice], wanted: str) -> InputDevice:
    for device in devices:
        if device.is_default if wanted == "auto" else wanted.lower() in device.name.lower():
            return device
    if not devices:
        raise UnavailableError("no microphone found. Plug one in; `earshot devices` lists what is seen")
    names = ", ".join(repr(device.name) for device in devices)
    raise UnavailableError(f"no microphone matches audio.device {wanted!r}. Set it to a part of one of: {names}")


def _pyaudio() -> ModuleType:
    try:
        import pyaudio
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "a microphone needs PyAudio, which is not installed. Run: sudo apt-get install portaudio19-dev "
            "python3-dev gcc && pip install 'earshot[microphone]'"
        ) from error
    return pyaudio
