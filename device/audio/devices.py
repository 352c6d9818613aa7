"""The microphones of this machine: which are there, what they take, and which one `audio.device` names."""

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from device.errors import UnavailableError
from device.util.native_stderr import silent_stderr

RATES = (48000, 44100, 32000, 16000)
"""Hz, in the order in which they are tried after the microphone's own."""
MAX_CHANNELS = 2
"""More than two are an array whose channels differ too much in time to be averaged."""
_CARDS = Path("/proc/asound")


@dataclass(frozen=True)
class InputDevice:
    """A microphone, as PortAudio lists it.

    Attributes:
        index: PortAudio's number; it moves when something is plugged in.
        name: what `audio.device` is matched against.
        usb_id: `vendor:product` of its USB device, as `lsusb` prints it; empty for others.
        channels: as many as it has.
        sample_rate: Hz, its default.
        is_default: whether it is the system's default.
        rates: those of RATES that it takes now; none while another program has it. Only `input_devices` asks.
    """

    index: int
    name: str
    usb_id: str
    channels: int
    sample_rate: int
    is_default: bool
    rates: tuple[int, ...] = ()


def input_devices() -> list[InputDevice]:
    """List the microphones of this machine.

    Raises:
        UnavailableError: PyAudio is not installed.
    """
    require_pyaudio()
    import pyaudio

    with silent_stderr():
        portaudio = pyaudio.PyAudio()
    try:
        return [replace(device, rates=_accepted(portaudio, pyaudio, device)) for device in list_devices(portaudio)]
    finally:
        portaudio.terminate()


def choose(devices: list[InputDevice], wanted: str) -> InputDevice | None:
    """The microphone that `audio.device` names: `auto`, `usb:VENDOR:PRODUCT`, or a part of a name; None if absent.

    `auto` prefers a USB microphone to the system's default: it is what was plugged in to listen with. A whole name
    goes before a part of one: ALSA's `default` is not its `sysdefault`.
    """
    wanted = wanted.lower()
    if wanted == "auto":
        ranked = sorted(devices, key=lambda device: (not device.usb_id, not device.is_default))
        return next((device for device in ranked if device.usb_id or device.is_default), None)
    if wanted.startswith("usb:"):
        return next((device for device in devices if device.usb_id == wanted.removeprefix("usb:")), None)
    matching = [device for device in devices if wanted in device.name.lower()]
    return min(matching, key=lambda device: device.name.lower() != wanted, default=None)


def require_pyaudio() -> None:
    """Make sure that PyAudio, an extra, is there.

    Raises:
        UnavailableError: it is not installed.
    """
    if importlib.util.find_spec("pyaudio") is None:
        raise UnavailableError(
            "a microphone needs PyAudio, which is not installed. Run: sudo apt-get install portaudio19-dev "
            "python3-dev gcc && pip install 'earshot[microphone]'"
        )


def list_devices(portaudio: Any) -> list[InputDevice]:
    """List the microphones, with the PyAudio that is open; their `rates` are not asked."""
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


def _accepted(portaudio: Any, pyaudio: ModuleType, device: InputDevice) -> tuple[int, ...]:
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
