"""Microphones of this machine: their list, their rates, and the choice by `audio.device`."""

import contextlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from device.errors import UnavailableError
from device.util.extras import install_command
from device.util.native_stderr import silent_stderr

MICROPHONE = "mic"
"""Value of `--input` for the microphone."""
RATES = (48000, 44100, 32000, 16000)
"""Sample rates, Hz, in the order of the attempts after the microphone's default rate."""
MORE_RATES = (96000, 22050, 11025, 8000)
"""Further rates, Hz, for a microphone that accepts none of `RATES`."""
MAX_CHANNELS = 2
"""Most channels that are averaged. The channels of a microphone array with more differ too much in time."""
_CARDS = Path("/proc/asound")
_CARD_LINKS = Path("/sys/class/sound")


@dataclass(frozen=True)
class InputDevice:
    """Microphone, as PortAudio lists it.

    Attributes:
        index: number in PortAudio. It changes when a device is plugged in.
        name: name that `audio.device` is compared with.
        usb_id: `vendor:product` of its USB device, as `lsusb` prints it; empty if it is no USB device.
        usb_port: USB port into which it is plugged, as in `1-1.2`; empty if it is unknown. It tells two microphones of
            the same kind apart, also after a restart.
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
    usb_port: str = ""

    @property
    def is_hardware(self) -> bool:
        """True for a sound card itself, False for a sound server or a converter in front of it."""
        return _card(self.name) is not None

    @property
    def identity(self) -> str:
        """Value of `audio.device` that names this microphone alone."""
        return f"usb:{self.usb_id}@{self.usb_port}" if self.usb_id and self.usb_port else self.name


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


def choose_device(devices: list[InputDevice], name: str, deaf: Sequence[str] = ()) -> InputDevice | None:
    """Return the microphone for a value of `audio.device`, or None.

    Args:
        devices: microphones of this machine.
        name: `auto`, `usb:VENDOR:PRODUCT`, the same with `@PORT`, or a part of a name. `auto` prefers a USB microphone
            to the system's default, because it was plugged in for this purpose. A complete name takes precedence over a
            part of one, because ALSA has a `default` and a `sysdefault`.
        deaf: names of microphones that `auto` takes only if no other is left.
    """
    name = name.lower()
    matching = [device for device in devices if _matches(device, name)]
    return min(
        matching, key=lambda device: (name == "auto" and device.name in deaf, *_rank(device, name)), default=None
    )


def equal_matches(devices: list[InputDevice], name: str, chosen: InputDevice) -> int:
    """Return the number of microphones that match a value of `audio.device` as well as the chosen one does."""
    name = name.lower()
    return sum(_matches(device, name) and _rank(device, name) == _rank(chosen, name) for device in devices)


def usb_microphones() -> set[str]:
    """Return the USB sound cards that are plugged in now, each with its number and USB id."""
    found = set()
    for file in _CARDS.glob("card*/usbid"):
        with contextlib.suppress(OSError):  # it may be unplugged at any time
            found.add(f"{file.parent.name} {file.read_text().strip()}")
    return found


def _matches(device: InputDevice, name: str) -> bool:
    if name == "auto":
        return bool(device.usb_id) or device.is_default
    if name.startswith("usb:"):
        usb_id, _, port = name.removeprefix("usb:").partition("@")
        return device.usb_id == usb_id and port in ("", device.usb_port)
    return name in device.name.lower()


def _rank(device: InputDevice, name: str) -> tuple[bool, ...]:
    """Return a key that is lower for a better match."""
    return (not device.usb_id, not device.is_default) if name == "auto" else (device.name.lower() != name,)


def require_pyaudio() -> None:
    """Check that PyAudio is installed, which is an optional package.

    Raises:
        UnavailableError: PyAudio is not installed.
    """
    if importlib.util.find_spec("pyaudio") is None:
        raise UnavailableError(
            "a microphone needs PyAudio, which is not installed. Run: sudo apt-get install portaudio19-dev "
            f"python3-dev gcc && {install_command('microphone')}"
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
            usb_port=_usb_port(info["name"]),
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


def _card(name: str) -> str | None:
    """Return the card's folder name in /proc and /sys, as in `card1`; None for a name that is no card's."""
    number = re.search(r"\(hw:(\d+),", name)
    return f"card{number[1]}" if number else None


def _usb_id(name: str) -> str:
    card = _card(name)
    try:
        return (_CARDS / card / "usbid").read_text().strip() if card else ""
    except OSError:
        return ""  # not a USB card


def _usb_port(name: str) -> str:
    card = _card(name)
    # The link of a USB card leads to its interface, as in .../usb1/1-1/1-1.2/1-1.2:1.0.
    interface = (_CARD_LINKS / card / "device").resolve().name if card else ""
    port = re.match(r"(\d+-[\d.]+):", interface)
    return port[1] if port else ""
