"""Terminal: colour, which is used on a terminal only, and never with NO_COLOR (https://no-color.org)."""

import os
import sys
from typing import Literal, TextIO

Color = Literal["red", "yellow", "green"]
_CODES: dict[Color, int] = {"red": 31, "green": 32, "yellow": 33}


def uses_color(stream: TextIO | None = None) -> bool:
    """Return whether colour may be written to a stream (default: stdout)."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, color: Color | None) -> str:
    """Return a text for stdout in a colour, or as it is if there is no colour."""
    return f"\033[{_CODES[color]}m{text}\033[0m" if color and uses_color() else text
