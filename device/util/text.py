"""Text helpers: suggestions for mistyped names, slugs, numbers, and quotation of foreign text on one line."""

import re
import unicodedata
from collections.abc import Iterable

_LINE_LENGTH = 100
_QUOTE_LENGTH = 60


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean X?` if a known name is similar, else a list of all known names."""
    names = list(known)
    near = _close_matches(name, names, 1)
    return f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(names)}"


def similar_names(text: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the names that are most similar to a text, in any case, with `_` as a space; the most similar first.

    A name may list synonyms, as in "Smoke detector, smoke alarm". Each of them is compared as well.

    Args:
        text: the mistyped name.
        known: all names.
        count: largest number of names.
    """
    terms: dict[str, str] = {}
    for name in known:
        for term in (name, *name.split(", ")):
            terms.setdefault(plain_term(term), name)
    return list(dict.fromkeys(terms[term] for term in _close_matches(plain_term(text), terms, count)))


def _close_matches(name: str, names: Iterable[str], count: int) -> list[str]:
    import difflib  # only a wrong name needs it

    return difflib.get_close_matches(name, list(names), n=count)


def plain_term(text: str) -> str:
    """Return a name in the form in which names are compared: without case, with spaces in place of `_`."""
    return text.casefold().replace("_", " ")


def slug(text: str) -> str:
    """Reduce a text to lower-case letters, digits and `_`, as in Home Assistant's entity ids."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def one_line(text: str) -> str:
    """Make foreign text safe within a line: printable, without line breaks, at most 100 characters."""
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _LINE_LENGTH else text[:_LINE_LENGTH] + "..."


def whole_number(text: str, least: int, most: int) -> int | None:
    """Return the number in decimal digits that a user typed; None if it is none, or outside `least` to `most`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(most)):  # int() refuses thousands of digits
        return None
    return number if least <= (number := int(text)) <= most else None


def quoted(text: str) -> str:
    """Quote foreign text with escapes, at most 60 characters of it."""
    return repr(text if len(text) <= _QUOTE_LENGTH else text[:_QUOTE_LENGTH] + "...")
