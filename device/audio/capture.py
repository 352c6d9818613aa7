"""The program that holds the microphone: PortAudio in, raw samples out on stdout. A process of its own.

    python -m device.audio.capture DEVICE

PortAudio, ALSA and USB drivers hang and crash in ways that no Python code can mend. A process can always be
killed and started again, which also gives PortAudio a fresh look at what is plugged in. So the daemon runs this
one (device/audio/microphone.py), reads its pipe, and restarts it whenever it ends or falls silent.

First comes one line of JSON: name, sample_rate, channels; then int16 samples, interleaved, little-endian, for
ever. Where the microphone cannot be opened, the line says why instead (`state`, `message`) and the program ends.
"""

import importlib.util
import json
import os
import re
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from device.errors import UnavailableError
from device.native import silent_stderr

READ_SECONDS = 0.12
"""What is read at a time."""
RATES = (48000, 44100, 32000, 16000)
"""Hz, in the order in which they are tried after the microphone's own."""
_MAX_CHANNELS = 2
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
        return [replace(device, rates=_accepted(portaudio, pyaudio, device)) for device in _list(portaudio)]
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


def _list(portaudio: Any) -> list[InputDevice]:
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
                        input_channels=min(device.channels, _MAX_CHANNELS),
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


def _open(portaudio: Any, pyaudio: ModuleType, device: InputDevice) -> tuple[Any, int, int]:
    """Open at the first rate and channel count that the hardware takes; gives stream, rate, channels."""
    problem: OSError | None = None
    for channels in dict.fromkeys((min(device.channels, _MAX_CHANNELS), 1, device.channels)):
        for rate in dict.fromkeys((device.sample_rate, *RATES)):
            try:
                with silent_stderr():
                    stream = portaudio.open(
                        rate=rate,
                        channels=channels,
                        format=pyaudio.paInt16,  # PortAudio converts what the hardware has
                        input=True,
                        input_device_index=device.index,
                        frames_per_buffer=round(READ_SECONDS * rate),
                    )
            except OSError as error:
                problem = error
            else:
                return stream, rate, channels
    raise UnavailableError(f"microphone {device.name!r} cannot be opened ({problem}). Close what else records from it")


def _end_with_the_daemon() -> None:
    """End when the daemon is gone, even while PortAudio blocks: an orphan would keep the microphone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _say(content: dict[str, Any]) -> None:
    os.write(sys.stdout.fileno(), json.dumps(content).encode() + b"\n")


def main(wanted: str) -> None:
    """Open the microphone and copy until nobody listens or it ends."""
    _end_with_the_daemon()
    import pyaudio

    with silent_stderr():
        portaudio = pyaudio.PyAudio()
    devices = _list(portaudio)
    device = choose(devices, wanted)
    if device is None:
        seen = ", ".join(repr(each.name) for each in devices) or "none"
        message = f"no microphone matches audio.device {wanted!r}. Plug it in, or choose another; seen: {seen}"
        _say({"state": "missing", "message": message})
        return
    try:
        stream, rate, channels = _open(portaudio, pyaudio, device)
    except UnavailableError as error:
        _say({"state": "busy", "message": str(error)})
        return
    _say({**asdict(device), "sample_rate": rate, "channels": channels})
    frames = round(READ_SECONDS * rate)
    while True:
        os.write(sys.stdout.fileno(), stream.read(frames, exception_on_overflow=False))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the daemon is gone, or wants us gone; PortAudio may hang in its own teardown
    except OSError as gone:
        sys.exit(f"microphone gone ({gone})")
