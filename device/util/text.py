"""Text helpers: suggestions for mistyped names, and quotation of foreign text on one line."""

import difflib
from collections.abc import Iterable

_LINE_LENGTH = 100
_QUOTE_LENGTH = 60


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean X?` if a known name is similar, else a list of all known names."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(names)}"


def one_line(text: str) -> str:
    """Make foreign text safe within a line: printable, without line breaks, at most 100 characters."""
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _LINE_LENGTH else text[:_LINE_LENGTH] + "..."


def quoted(text: str) -> str:
    """Quote foreign text with escapes, at most 60 characters of it."""
    return repr(text if len(text) <= _QUOTE_LENGTH else text[:_QUOTE_LENGTH] + "...")
