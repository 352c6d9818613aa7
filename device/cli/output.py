"""Output of commands: JSON lines on stdout, errors and notes on stderr."""

import json
import sys
from typing import Any

from device.errors import EarshotError


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(content, ensure_ascii=False), flush=True)


def print_error(error: EarshotError) -> None:
    """Print each line of an error's message on stderr."""
    for line in str(error).splitlines():
        print(f"earshot: {line}", file=sys.stderr)


def print_note(text: str) -> None:
    """Print a line for the person on stderr, so that the output for programs stays clean."""
    print(f"earshot: {text}", file=sys.stderr)
