"""What to listen to, and the source that does: the microphone, standard input, or sound files."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from device.audio.file_source import FileSource
from device.audio.files import sound_files
from device.audio.microphone_source import MicrophoneSource
from device.audio.signal_diagnosis import SourceState
from device.audio.stdin_source import StdinSource
from device.config.models import AudioConfig

MICROPHONE, STANDARD_INPUT = "mic", "-"
Source = MicrophoneSource | FileSource | StdinSource


@dataclass(frozen=True)
class SourceOptions:
    """What to listen to.

    Attributes:
        name: "mic", "-" for raw samples on standard input, or a sound file or a folder of them.
        rate: Hz, of standard input; None takes the bundle's.
        realtime: whether a recording is played at the pace of the clock, and standard input is live.
        exit_at_end: whether to end when the recording is over and its events are delivered.
    """

    name: str
    rate: int | None = None
    realtime: bool = True
    exit_at_end: bool = False


def make_source(
    sound: SourceOptions,
    audio: AudioConfig,
    sample_rate: int,
    stop: threading.Event,
    on_state: Callable[[SourceState, str], None],
) -> Source:
    """Make the source of a run.

    Args:
        sound: what to listen to.
        audio: which microphone, and how much may wait.
        sample_rate: Hz, of the blocks.
        stop: when set, the source ends.
        on_state: told of each change: the state, and a line for a person.

    Raises:
        InputError: there is no such file.
    """
    if sound.name == MICROPHONE:
        return MicrophoneSource(
            audio.device, sample_rate, queue_seconds=audio.queue_seconds, stop=stop, on_state=on_state
        )
    if sound.name == STANDARD_INPUT:
        return StdinSource(
            sound.rate or sample_rate,
            sample_rate,
            live=sound.realtime,
            queue_seconds=audio.queue_seconds,
            stop=stop,
            on_state=on_state,
        )
    files = sound_files(Path(sound.name))
    return FileSource(files, sample_rate, realtime=sound.realtime, stop=stop, on_state=on_state)
