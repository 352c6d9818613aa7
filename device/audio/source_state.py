"""States of a source of sound, as messages and the health message name them.

This module loads no numpy, so that `earshot run` starts the capture process before it loads that.
"""

from typing import Literal

SourceState = Literal[
    "ok",
    "missing",
    "busy",
    "stalled",
    "silent",
    "dc",
    "clipping",
    "wrong_rate",
    "monitor",
    "no_channel",
    "unreachable",
    "denied",
    "no_audio",
]
"""State of a source, as in the health message (docs/mqtt.md)."""
DEAF_STATES = ("silent", "dc", "monitor")
"""States of an open microphone that delivers no sound of the room."""

PROBLEM_TEXTS: dict[SourceState, str] = {
    "stalled": "delivers nothing any more",
    "silent": "delivers silence, quieter than any room",
    "dc": "delivers a constant value",
    "clipping": "is too loud and clips",
    "wrong_rate": "delivers at another rate than it reports",
    "monitor": "is a loudspeaker's monitor: it records what this machine plays",
}
"""Text for each fault of an open source. It follows "microphone ...", "stream ..." or "standard input ..."."""

STALLED_SECONDS = 4.0
"""Time without sound after which a stream counts as stalled, s. Sound servers deliver at least every two seconds."""
