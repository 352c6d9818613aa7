"""Factory of sources: the microphone or stream of the settings, standard input, or sound files."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.audio.capture_process import CaptureProcess
from device.audio.devices import MICROPHONE
from device.audio.microphone_source import MicrophoneSource
from device.audio.source_state import SourceState
from device.config.models import AudioConfig
from device.config.secrets import read_stream_url

if TYPE_CHECKING:
    from device.audio.file_source import FileSource
    from device.audio.stdin_source import StdinSource
    from device.audio.stream_source import StreamSource

STANDARD_INPUT = "-"
"""Value of `--input` for standard input."""


@dataclass(frozen=True)
class SourceOptions:
    """Choice of the source by the command line.

    Attributes:
        name: "mic" for the microphone or stream of the settings, "-" for raw samples on standard input, or the path of
            a sound file or a folder of them.
        rate: sample rate of standard input, Hz; None for the sample rate of the bundle.
        realtime: whether a recording is played in real time, and standard input is live.
        exit_at_end: whether the run ends when the recording is over and its events are delivered.
    """

    name: str
    rate: int | None = None
    realtime: bool = True
    exit_at_end: bool = False


def make_source(
    options: SourceOptions,
    audio: AudioConfig,
    sample_rate: int,
    stop: threading.Event,
    on_state: Callable[[SourceState, str], None],
    capture: CaptureProcess | None = None,
) -> "MicrophoneSource | StreamSource | FileSource | StdinSource":
    """Make the source of a run, and load the modules of that source alone.

    Args:
        options: choice of the source.
        audio: the microphone or stream, its channels, and the bound of the queue.
        sample_rate: sample rate of the blocks, Hz.
        stop: when set, the source ends.
        on_state: receives each change of the state, with a message for a person.
        capture: see `MicrophoneSource`.

    Raises:
        InputError: the folder contains no sound file.
        ConfigError: the address of the stream has a fault.
    """
    if options.name == MICROPHONE:
        common: dict[str, Any] = {
            "channels": audio.channels,
            "queue_seconds": audio.queue_seconds,
            "stop": stop,
            "on_state": on_state,
        }
        if audio.source == "microphone":
            return MicrophoneSource(audio.device, sample_rate, capture=capture, **common)
        from device.audio.stream_source import StreamSource

        return StreamSource(read_stream_url(audio), sample_rate, **common)
    if options.name == STANDARD_INPUT:
        from device.audio.stdin_source import StdinSource

        return StdinSource(
            options.rate or sample_rate,
            sample_rate,
            live=options.realtime,
            queue_seconds=audio.queue_seconds,
            stop=stop,
            on_state=on_state,
        )
    from device.audio.file_source import FileSource
    from device.audio.files import sound_files  # with libsndfile

    files = sound_files(Path(options.name))
    return FileSource(files, sample_rate, realtime=options.realtime, stop=stop, on_state=on_state)
