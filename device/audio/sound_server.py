"""Sound server: the source from which it serves a recording process (PulseAudio, or PipeWire in its place)."""

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import Any

_ANSWER_SECONDS = 5.0


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
    if shutil.which("pactl") is None:
        return None
    try:
        answer = subprocess.run(
            ["pactl", "-f", "json", "list"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=True,
        )
        source = _find(json.loads(answer.stdout), str(process))
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None  # no server, or a version of pactl without JSON
    return None if source is None else asdict(source)


def _find(server: dict[str, Any], process: str) -> ServerSource | None:
    for stream in server["source_outputs"]:
        if stream["properties"].get("application.process.id") == process:
            source = next(each for each in server["sources"] if each["index"] == stream["source"])
            sink = next((each for each in server["sinks"] if each["monitor_source"] == source["name"]), None)
            is_hardware = sink is not None and "HARDWARE" in sink["flags"]
            return ServerSource(source["name"], sink is not None, is_hardware, source["channel_map"].count(",") + 1)
    return None
