"""Metadata table: a file of comma-separated values, as spreadsheets write it, with a line number for each row."""

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from device.errors import InputError

_DELIMITERS = ",;\t|"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
"""Encodings by the byte order mark with which a spreadsheet begins a file."""


@dataclass(frozen=True)
class Row:
    """Row of a table.

    Attributes:
        table: the file.
        line: number of its line, from 1.
        values: value of each column, without spaces around it.
    """

    table: Path
    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]

    def number(self, column: str, least: int = 0) -> int:
        """Return the value of a column as a whole number.

        Raises:
            InputError: it is no number, or less than `least`.
        """
        text = self.values[column]
        if not text.isascii() or not text.isdecimal() or int(text) < least:
            raise self.fault(f"{column} is {text!r}, must be a whole number of {least} or more. Correct that line")
        return int(text)

    def fault(self, text: str) -> InputError:
        """Return an error that begins with the place of the row."""
        return InputError(f"{self.table}:{self.line}: {text}")


def read_table(table: Path, columns: Collection[str], origin: str) -> list[Row]:
    """Read a table with a header. Commas, semicolons, tabs or bars separate the values; empty lines are skipped.

    Args:
        table: the file, in UTF-8, or in UTF-16 with a byte order mark.
        columns: columns that it must have.
        origin: cure for a file that is no such table: where to take it from.

    Raises:
        InputError: the file is unreadable, a column is missing, or a row does not match the header.
    """
    text = _text(table, origin)
    delimiter = _delimiter(text, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[Row] = []
    line = 1
    try:
        for values in reader:
            row, first_line, line = [value.strip() for value in values], line, reader.line_num + 1
            if not any(row) or row in ([f"sep={delimiter}"], ["sep=", ""]):  # a spreadsheet may name its delimiter
                continue
            if not header:
                header = _checked_header(table, row, columns, origin)
                continue
            while len(row) > len(header) and not row[-1]:  # a delimiter at the end of the line
                row.pop()
            if len(row) != len(header):
                raise InputError(
                    f"{table}:{first_line}: {len(row)} values, but the header has {len(header)}. Correct that line"
                )
            rows.append(Row(table, first_line, dict(zip(header, row, strict=True))))
    except csv.Error as error:
        raise InputError(f"{table}:{line}: wrong quotation marks ({error}). Correct that line") from error
    if not header:
        raise InputError(f"{table}: empty. {origin}")
    return rows


def _text(table: Path, origin: str) -> str:
    try:
        content = table.read_bytes()
    except OSError as error:
        raise InputError(f"{table}: cannot be read ({error.strerror}). {origin}") from error
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{table}:{line}: not text in UTF-8. Save it as UTF-8. {origin}") from error
    if "\0" in text:
        raise InputError(f"{table}: not a text file. {origin}")
    return text


def _delimiter(text: str, columns: Collection[str]) -> str:
    """Return the delimiter that separates most of the columns' names in the first lines."""
    first_lines = [line for line in text[:10_000].splitlines() if line.strip()][:2]

    def found(delimiter: str) -> int:
        names = {name.strip(' "') for line in first_lines for name in line.split(delimiter)}
        return len(names & set(columns))

    return max(_DELIMITERS, key=found)


def _checked_header(table: Path, header: list[str], columns: Collection[str], origin: str) -> list[str]:
    while header and not header[-1]:
        header.pop()
    if missing := set(columns) - set(header):
        raise InputError(f"{table}: columns missing: {', '.join(sorted(missing))}. {origin}")
    if repeated := sorted({name for name in columns if header.count(name) > 1}):
        raise InputError(f"{table}: columns twice: {', '.join(repeated)}. {origin}")
    return header
