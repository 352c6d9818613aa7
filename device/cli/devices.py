"""`earshot devices`: which microphones are there, what they take, and how loud is what they hear?"""

import argparse
import shutil
import sys
import threading

from device.audio.capture_process import capture_command
from device.audio.devices import RATES, InputDevice, choose_device, input_devices
from device.audio.level_meter import LevelReading, read_levels
from device.cli.bars import level_bar
from device.errors import EXIT_DONE

_BAR = 24
"""Columns of the bar: 4 dB each."""


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """List the microphones; with `arguments.meter`, seconds, look at each in turn. Gives the exit code."""
    devices = input_devices()
    auto = choose_device(devices, "auto")
    for device in devices:
        print(_describe(device) + ("  (auto)" if device is auto else ""))
    if not devices:
        print("no microphone found", file=sys.stderr)
    if arguments.meter:
        # One after another: several names may stand for one microphone, which only one may open.
        for device in devices:
            if not stop.is_set():
                _look(device.name, arguments.meter, stop)
    return EXIT_DONE


def _describe(device: InputDevice) -> str:
    channels = f"{device.channels} channel{'s' if device.channels > 1 else ''}"
    rates = f"takes {', '.join(map(str, device.rates))} Hz" if device.rates else f"takes none of {RATES} Hz: in use?"
    usb = f", usb:{device.usb_id}" if device.usb_id else ""
    return f"{device.name}: {channels}, {device.sample_rate} Hz ({rates}){usb}"


def _look(name: str, seconds: float, stop: threading.Event) -> None:
    """Show the level while it listens, on a terminal; then one line with the verdict."""
    reading: LevelReading | None = None
    for reading in read_levels(capture_command(name), seconds, stop):
        if sys.stdout.isatty() and reading.levels:
            line = (
                f"{level_bar(reading.levels.latest, _BAR)} {reading.levels.latest:4.0f} dBFS  {reading.state}  {name}"
            )
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if reading is not None:
        print(verdict(name, reading), flush=True)


def verdict(name: str, reading: LevelReading) -> str:
    """One line: the loudest as a bar, the quietest and the loudest in dBFS, the diagnosis, and its cure."""
    levels = reading.levels
    heard = (
        f"{level_bar(levels.loudest, _BAR)} {levels.quietest:4.0f} to {levels.loudest:4.0f} dBFS"
        if levels
        else "nothing heard"
    )
    return f"{heard}  {reading.state}  {name if reading.state == 'ok' else f'{name}: {reading.message}'}"
