"""Argument types: functions that parse one argument, or report its allowed range."""

import argparse
import math
import time

from device.util.local_time import parse_time
from device.util.text import quoted, whole_number


def time_of(text: str) -> float:
    """Parse a time, as Unix seconds."""
    try:
        return parse_time(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def decibels(text: str) -> float:
    """Parse a sound level, dB."""
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not 30 <= level <= 160:  # also refuses nan
        raise argparse.ArgumentTypeError(f"is {quoted(text)}, must be a sound level from 30 to 160, in dB")
    return level


def sample_rate(text: str) -> int:
    """Parse a sample rate, Hz."""
    if (rate := whole_number(text, 8000, 384000)) is None:
        raise argparse.ArgumentTypeError(f"is {quoted(text)}, must be a sample rate from 8000 to 384000, in Hz")
    return rate


def node_id(text: str) -> str:
    """Parse the name of a node."""
    if not text or set(text) & set("/+#\0"):
        raise argparse.ArgumentTypeError(f"is {text!r}, must be the name of a node, without '/', '+' and '#'")
    return text


def port(text: str) -> int:
    """Parse a TCP port."""
    if (port := whole_number(text, 1, 65535)) is None:
        raise argparse.ArgumentTypeError(f"is {quoted(text)}, must be a TCP port, 1 to 65535")
    return port


def meter_seconds(text: str) -> int:
    """Parse the duration of a measurement, s."""
    if (seconds := whole_number(text, 5, 3600)) is None:
        raise argparse.ArgumentTypeError(f"is {quoted(text)}, must be seconds, 5 (the length of a diagnosis) to 3600")
    return seconds
