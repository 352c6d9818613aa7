"""Entry of the outbox, and its row in the table, with a checksum: SQLite does not notice a changed byte."""

import json
import re
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

from device.util.clock import Stamp

VERSION = 1
"""Version of the table's format."""
SELECT = "SELECT sequence, CAST(message AS BLOB), steady, offset FROM outbox"
"""Beginning of a query for rows. The text is read as bytes, because a damaged one may not be UTF-8."""
Row = tuple[Any, Any, Any, Any]
"""Sequence number, JSON of the message, steady time, offset."""

LARGEST_SEQUENCE = 2**53
"""Largest integer that every reader of JSON represents exactly. A larger sequence number is damage."""
_CHECKED = re.compile(rb'(.*), "crc32": (\d+)\}', re.DOTALL)


class NotAnOutboxError(sqlite3.DatabaseError):
    """Error for content that SQLite can read, and that no outbox has written."""


@dataclass(frozen=True)
class Entry:
    """Event message in the outbox.

    Attributes:
        sequence: sequence number, from 1.
        message: the event message, including `sequence`.
        created: time of creation; `steady` counts from the boot of the message's `boot_id`.
    """

    sequence: int
    message: dict[str, Any]
    created: Stamp


def to_row(entry: Entry) -> Row:
    """Return the row of an entry. The checksum is one more key of the JSON, so older versions can read it."""
    steady, offset = float(entry.created.steady), float(entry.created.offset)
    text = json.dumps(entry.message)
    checksum = _checksum(entry.sequence, text.encode(), steady, offset)
    return entry.sequence, f'{text[:-1]}, "crc32": {checksum}}}', steady, offset


def from_row(row: Row) -> Entry:
    """Return the entry of a row, whose text is in bytes. Rows of version 0.1.0 have no checksum.

    Raises:
        NotAnOutboxError: the row is damaged.
    """
    sequence, text, steady, offset = row
    types = (type(sequence), type(text), type(steady), type(offset))
    if types != (int, bytes, float, float) or not 1 <= sequence <= LARGEST_SEQUENCE:
        raise NotAnOutboxError("a message is damaged")
    if checked := _CHECKED.fullmatch(text):
        text = checked[1] + b"}"
        if str(_checksum(sequence, text, steady, offset)).encode() != checked[2]:
            raise NotAnOutboxError("a message is damaged")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotAnOutboxError("a message is not valid JSON") from error
    if not isinstance(message, dict) or message.get("sequence") != sequence:
        raise NotAnOutboxError("a message is damaged")
    return Entry(sequence, message, Stamp(steady, offset))


def _checksum(sequence: int, text: bytes, steady: float, offset: float) -> int:
    return zlib.crc32(b"%d %r %r " % (sequence, steady, offset) + text)
