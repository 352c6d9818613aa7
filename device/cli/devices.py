"""`earshot devices`: microphones of this machine, their sample rates, and their levels."""

import argparse
import shutil
import sys
import threading
from collections import deque
from typing import Any

from device.audio.capture_kind import Capture
from device.audio.capture_process import capture_command
from device.audio.devices import RATES, InputDevice, choose_device, input_devices
from device.audio.level_meter import LevelReading, read_levels
from device.cli.bars import level_bar
from device.cli.output import print_json, print_note
from device.errors import EXIT_DONE

_BAR_COLUMNS = 24
"""Columns of the bar: 4 dB each."""


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """List the microphones; measure each for `arguments.meter` seconds, if given; return the exit code."""
    devices = input_devices()
    auto = choose_device(devices, "auto")
    if not devices:
        print_note("no microphone found. Plug one in, or close the program that records from it")
    if arguments.json:
        for device in devices:
            print_json(_content(device, device is auto, arguments.meter, stop))
        return EXIT_DONE
    for device in devices:
        is_alone = sum(device.usb_id == other.usb_id for other in devices) == 1
        print(_describe(device, is_alone=is_alone) + ("  (auto)" if device is auto else ""))
    if arguments.meter:
        # In turn, because several names may refer to one microphone, which only one program can open.
        for device in devices:
            if not stop.is_set():
                _meter(device.name, arguments.meter, stop)
    return EXIT_DONE


def _content(device: InputDevice, is_auto: bool, seconds: int | None, stop: threading.Event) -> dict[str, Any]:
    """Return a microphone as JSON; after a measurement of some seconds, with its diagnosis and its levels."""
    content = {
        "name": device.name,
        "usb_id": device.usb_id or None,
        "channels": device.channels,
        "sample_rate": device.sample_rate,
        "rates": list(device.rates),
        "auto": is_auto,
    }
    if not seconds or stop.is_set():
        return content
    readings = deque(read_levels(Capture(capture_command(device.name)), seconds, stop), maxlen=1)
    if not readings:
        return content
    reading, levels = readings[0], readings[0].levels
    return content | {
        "state": reading.state,
        "message": reading.message,
        "quietest_dbfs": levels and round(levels.quietest, 1),
        "loudest_dbfs": levels and round(levels.loudest, 1),
    }


def _describe(device: InputDevice, *, is_alone: bool) -> str:
    channels = f"{device.channels} channel{'s' if device.channels > 1 else ''}"
    rates = f"takes {', '.join(map(str, device.rates))} Hz" if device.rates else f"takes none of {RATES} Hz: in use?"
    usb = f", {f'usb:{device.usb_id}' if is_alone else device.identity}" if device.usb_id else ""
    return f"{device.name}: {channels}, {device.sample_rate} Hz ({rates}){usb}"


def _meter(name: str, seconds: float, stop: threading.Event) -> None:
    """Show the level on a terminal during the measurement, then print one line with the diagnosis."""
    reading: LevelReading | None = None
    for reading in read_levels(Capture(capture_command(name)), seconds, stop):
        if sys.stdout.isatty() and reading.levels:
            bar = level_bar(reading.levels.latest, _BAR_COLUMNS)
            line = f"{bar} {reading.levels.latest:4.0f} dBFS  {reading.state}  {name}"
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if reading is not None:
        print(describe_reading(name, reading), flush=True)


def describe_reading(name: str, reading: LevelReading) -> str:
    """Return one line: loudest level as a bar, quietest and loudest level in dBFS, diagnosis and cure."""
    levels = reading.levels
    measured = (
        f"{level_bar(levels.loudest, _BAR_COLUMNS)} {levels.quietest:4.0f} to {levels.loudest:4.0f} dBFS"
        if levels
        else "no sound"
    )
    return f"{measured}  {reading.state}  {name if reading.state == 'ok' else f'{name}: {reading.message}'}"
