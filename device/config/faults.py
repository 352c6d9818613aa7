"""Faults of the settings: one line each, with file, line, key, the fault and the cure."""

import math
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from device.config.keys import key_type, known_names, listed_section, takes_null
from device.config.yaml_reader import Key
from device.util.text import did_you_mean, one_line
from device.util.urls import without_password

_IN_QUOTES = "must be a text. Put it in quotes"
_MESSAGES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be `key: value` lines",
    "float_parsing": "must be a finite number",
    "float_type": "must be a finite number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_type": "must be a whole number",
    "list_type": "must be a valid list, as in [a, b]",
    "path_type": _IN_QUOTES,
    "string_too_short": "must not be empty",
    "string_type": _IN_QUOTES,
    "tuple_type": "must be a valid list, as in [a, b]",
}
"""Message for the types of faults whose own message is for programmers."""
_OFF = {"off", "no", "none", "false", "never"}


def describe(fault: ErrorDetails, origins: Mapping[Key, str], file: str) -> str:
    """Return a fault as `file:line: key: fault. Allowed values`."""
    key = tuple(str(part) for part in fault["loc"])
    known = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in origins), ())
    where = origins.get(known, file)
    named = key[: len(known) + 2] if listed_section(key_type(known)) else known  # a key of a section in a list
    name = one_line(".".join(key if fault["type"] == "extra_forbidden" else named)) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: {name}: no such key. {did_you_mean(key[-1], known_names(key[:-1]))}"
    if fault["type"] == "model_type":
        return f"{where}: {name}: must be a section of `key: value` lines"
    message = _MESSAGES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ").replace(
        "Input should be", "must be"
    )
    if str(fault["input"]).lower() in _OFF and takes_null(key):
        message += ". Write null to turn it off"
    of_one_value = named == key and not isinstance(fault["input"], dict | list)
    found = f"is {one_line(without_password(_shown(fault['input'])))}, " if of_one_value else ""
    return f"{where}: {name}: {found}{message}"


def _shown(value: Any) -> str:
    """Return a value as a user writes it: null, a number, or a text in quotes."""
    if value is None:
        return "null"
    try:
        is_number = math.isfinite(float(value))
    except (ValueError, TypeError, OverflowError):
        is_number = False
    return str(value) if is_number else repr(value)
