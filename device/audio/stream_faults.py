"""Faults of a stream that cannot be opened, recognized in the last lines of ffmpeg."""

import re
from collections.abc import Sequence
from typing import Any

from device.util.text import one_line
from device.util.urls import without_urls

_FAULTS = (
    (r"\b40[13] ", "denied", "refuses user and password. Correct them in the address"),
    (r"\b404 ", "unreachable", "has nothing at this path. Correct the path of the address"),
    (r"resolve hostname", "unreachable", "has an unknown host. Correct it in the address, or check the network"),
    (r"refused", "unreachable", "refuses the connection. Start its server, or correct the port"),
    (r"timed.out|unreachable|No.route", "unreachable", "does not answer. Is it on, and in this network?"),
    (
        r"contain.any.stream|PLAY.failed",
        "no_audio",
        "has no sound. Turn it on in the camera's settings",
    ),
    (r"Protocol.not.found", "unreachable", "has an address that this ffmpeg does not read. Choose another scheme"),
)
"""Pattern in ffmpeg's lines, state, and fault with its cure; the first one that matches applies. A server without sound
refuses PLAY, because nothing was set up."""


def stream_fault(name: str, lines: Sequence[str]) -> dict[str, Any]:
    """Return the header for a stream that delivers no sound: `state` and `message`.

    Args:
        name: name of the stream without secrets.
        lines: last lines of ffmpeg's stderr. They may contain the address, which the message never does.
    """
    text = "\n".join(lines)
    for pattern, state, fault in _FAULTS:
        if re.search(pattern, text):
            return {"state": state, "message": f"stream {name!r} {fault}"}
    reason = one_line(without_urls(lines[-1])) if lines else "it ended before any sound"
    return {"state": "unreachable", "message": f"stream {name!r} cannot be read ({reason}). Play its address in VLC"}
