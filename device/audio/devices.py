"""Microphones of this machine: their list, their rates, and the choice by `audio.device`."""

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from device.errors import UnavailableError
from device.util.native_stderr import silent_stderr

RATES = (48000, 44100, 32000, 16000)
"""Sample rates, Hz, in the order of the attempts after the microphone's default rate."""
MAX_CHANNELS = 2
"""Most channels that are averaged. The channels of a microphone array with more differ too much in time."""
_CARDS = Path("/proc/asound")


@dataclass(frozen=True)
class InputDevice:
    """Microphone, as PortAudio lists it.

    Attributes:
        index: number in PortAudio. It changes when a device is plugged in.
        name: name that `audio.device` is compared with.
        usb_id: `vendor:product` of its USB device, as `lsusb` prints it; empty if it is no USB device.
        channels: number of channels.
        sample_rate: default sample rate, Hz.
        is_default: whether it is the system's default.
        rates: rates of RATES that it accepts at present, Hz; empty while another program uses it. Only `input_devices`
            tests them.
    """

    index: int
    name: str
    usb_id: str
    channels: int
    sample_rate: int
    is_default: bool
    rates: tuple[int, ...] = ()


def input_devices() -> list[InputDevice]:
    """List the microphones of this machine, with the rates that they accept.

    Raises:
        UnavailableError: PyAudio is not installed.
    """
    require_pyaudio()
    import pyaudio

    with silent_stderr():
        portaudio = pyaudio.PyAudio()
    try:
        return [
            replace(device, rates=_accepted_rates(portaudio, pyaudio, device)) for device in list_devices(portaudio)
        ]
    finally:
        portaudio.terminate()


def choose_device(devices: list[InputDevice], name: str) -> InputDevice | None:
    """Return the microphone for a value of `audio.device`, or None.

    Args:
        devices: microphones of this machine.
        name: `auto`, `usb:VENDOR:PRODUCT`, or a part of a name. `auto` prefers a USB microphone to the system's
            default, because it was plugged in for this purpose. A complete name takes precedence over a part of one,
            because ALSA has a `default` and a `sysdefault`.
    """
    name = name.lower()
    if name == "auto":
        ranked = sorted(devices, key=lambda device: (not device.usb_id, not device.is_default))
        return next((device for device in ranked if device.usb_id or device.is_default), None)
    if name.startswith("usb:"):
        return next((device for device in devices if device.usb_id == name.removeprefix("usb:")), None)
    matching = [device for device in devices if name in device.name.lower()]
    return min(matching, key=lambda device: device.name.lower() != name, default=None)


def require_pyaudio() -> None:
    """Check that PyAudio is installed, which is an optional package.

    Raises:
        UnavailableError: PyAudio is not installed.
    """
    if importlib.util.find_spec("pyaudio") is None:
        raise UnavailableError(
            "a microphone needs PyAudio, which is not installed. Run: sudo apt-get install portaudio19-dev "
            "python3-dev gcc && pip install 'earshot[microphone]'"
        )


def list_devices(portaudio: Any) -> list[InputDevice]:
    """List the microphones of an open `pyaudio.PyAudio`, without their `rates`."""
    try:
        default = portaudio.get_default_input_device_info()["index"]
    except OSError:
        default = None
    infos = [portaudio.get_device_info_by_index(index) for index in range(portaudio.get_device_count())]
    return [
        InputDevice(
            index=info["index"],
            name=info["name"],
            usb_id=_usb_id(info["name"]),
            channels=info["maxInputChannels"],
            sample_rate=round(info["defaultSampleRate"]),
            is_default=info["index"] == default,
        )
        for info in infos
        if info["maxInputChannels"] > 0
    ]


def _accepted_rates(portaudio: Any, pyaudio: ModuleType, device: InputDevice) -> tuple[int, ...]:
    def accepts(rate: int) -> bool:
        try:
            with silent_stderr():
                return bool(
                    portaudio.is_format_supported(
                        rate,
                        input_device=device.index,
                        input_channels=min(device.channels, MAX_CHANNELS),
                        input_format=pyaudio.paInt16,
                    )
                )
        except ValueError:
            return False

    return tuple(rate for rate in RATES if accepts(rate))


def _usb_id(name: str) -> str:
    card = re.search(r"\(hw:(\d+),", name)
    try:
        return (_CARDS / f"card{card[1]}" / "usbid").read_text().strip() if card else ""
    except OSError:
        return ""  # not a USB card
