"""Sound server: the source from which it serves a recording process (PulseAudio, or PipeWire in its place)."""

import json
import subprocess
from dataclasses import asdict, dataclass
from typing import Any

_ANSWER_SECONDS = 5.0
_FAILURES = (OSError, subprocess.SubprocessError, ValueError)
"""Failures of `_listed`."""


@dataclass(frozen=True)
class ServerSource:
    """Source of a sound server.

    Attributes:
        name: as `pactl` lists it.
        is_monitor: whether it contains what a sink plays, instead of what a microphone records.
        is_hardware: for a monitor, whether the sink is a loudspeaker rather than a virtual sink.
        channels: number of channels.
    """

    name: str
    is_monitor: bool
    is_hardware: bool
    channels: int


def recorded_source(process: int) -> dict[str, Any] | None:
    """Return the fields of the source that a process records from; None without a sound server, or if it is unknown.

    Args:
        process: id of the process.
    """
    try:
        source = _find(_listed(), str(process))
    except (*_FAILURES, LookupError, TypeError):
        return None
    return None if source is None else asdict(source)


def has_no_source() -> bool:
    """Return whether a sound server runs and has no source: then no microphone is connected to it."""
    try:
        sources: list[Any] = _listed("sources")
    except _FAILURES:
        return False
    return not sources


def _listed(*kinds: str) -> Any:
    """Return what a sound server lists, of some kinds of things or of all.

    Raises:
        OSError: there is no `pactl`.
        SubprocessError: there is no server, or it does not answer.
        ValueError: a version of `pactl` without JSON.
    """
    command = ["pactl", "-f", "json", "list", *kinds]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=True)
    return json.loads(answer.stdout)


def _find(server: dict[str, Any], process: str) -> ServerSource | None:
    for stream in server["source_outputs"]:
        if stream["properties"].get("application.process.id") == process:
            source = next(each for each in server["sources"] if each["index"] == stream["source"])
            sink = next((each for each in server["sinks"] if each["monitor_source"] == source["name"]), None)
            is_hardware = sink is not None and "HARDWARE" in sink["flags"]
            return ServerSource(source["name"], sink is not None, is_hardware, source["channel_map"].count(",") + 1)
    return None
