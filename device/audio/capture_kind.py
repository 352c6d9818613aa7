"""Kinds of sources with a capture process: microphones and streams, with their times, and their faults for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from device.audio.source_state import PROBLEM_TEXTS, STALLED_SECONDS, SourceState


@dataclass(frozen=True)
class CaptureKind:
    """Kind of source.

    Attributes:
        noun: its name for a person.
        open_seconds: longest time in which it opens, s.
        stalled_seconds: time without sound after which it counts as stalled, s.
        steady_seconds: time of sound after which the next attempt to open it is made without a longer pause, s.
        not_open: cure for one that does not open within `open_seconds`.
        not_alive: cure for a capture process that ends at once.
        cures: cure of each fault of an open source.
    """

    noun: str
    open_seconds: float
    stalled_seconds: float
    steady_seconds: float
    not_open: str
    not_alive: str
    cures: Mapping[SourceState, str]

    def describe(self, state: SourceState, name: str) -> str:
        """Describe the state of an open source for a person: the fault and the cure."""
        return f"{self.noun} {name!r} " + (
            f"{PROBLEM_TEXTS[state]}. {self.cures[state]}" if state in self.cures else "works"
        )


MICROPHONE = CaptureKind(
    noun="microphone",
    open_seconds=10.0,
    stalled_seconds=STALLED_SECONDS,
    steady_seconds=0.0,
    not_open="Plug it in again, or close other programs that record from it",
    not_alive="Run `earshot devices` to see why",
    cures={
        "stalled": "Plug it in again if it does not come back by itself",
        "silent": "Is it muted, or has it a noise gate? Check its switch and alsamixer",
        "dc": "Replace its cable, or the microphone",
        "clipping": "Turn its gain down in alsamixer",
        "wrong_rate": "Try another USB port or a powered hub",
        "monitor": "Choose the microphone in pavucontrol, under Recording",
    },
)
STREAM = CaptureKind(
    noun="stream",
    open_seconds=20.0,
    stalled_seconds=12.0,  # a segment of HLS takes up to ten
    steady_seconds=5.0,
    not_open="Check the camera, its network and the port in the address",
    not_alive="Run ffmpeg in a terminal to see why",
    cures={
        "stalled": "Check the camera and its network. It is opened again",
        "silent": "Turn its microphone on in the settings of the camera",
        "dc": "Restart the camera, or replace its microphone",
        "clipping": "Turn its microphone down in the settings of the camera",
        "wrong_rate": "A recording is no live stream: use earshot run --input FILE. Else restart the camera",
    },
)


@dataclass(frozen=True)
class Capture:
    """Choice of what a capture process reads.

    Attributes:
        command: the program and its arguments.
        kind: kind of the source.
        channels: channels that are averaged, counted from 1; empty for all that the program delivers.
        request: standard input of the program, at most 64 kB.
    """

    command: Sequence[str]
    kind: CaptureKind = MICROPHONE
    channels: Sequence[int] = ()
    request: bytes = b""
