"""Capture program: copies samples from PortAudio to stdout, in a process of its own.

    python -m device.audio.capture_worker DEVICE

PortAudio, ALSA and USB drivers may hang or crash, which Python code cannot handle. A process can always be killed and
started again, and a new process lists the microphones that are plugged in now. The daemon reads this one's pipe
(device/audio/microphone_source.py) and starts it again when it ends or stalls.

The first line of the output is JSON: name, sample_rate, channels. Interleaved int16 samples, little-endian, follow
without end. If the microphone cannot be opened, the line contains `state` and `message` instead, and the program ends.
"""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from types import ModuleType
from typing import Any

from device.audio.devices import MAX_CHANNELS, RATES, InputDevice, choose_device, list_devices
from device.errors import UnavailableError
from device.util.native_stderr import silent_stderr

READ_SECONDS = 0.12
"""Sound of one read, s."""


def _open(portaudio: Any, pyaudio: ModuleType, device: InputDevice) -> tuple[Any, int, int]:
    """Open with the first channel count and rate that the hardware accepts; return stream, rate, channels."""
    last_error: OSError | None = None
    for channels in dict.fromkeys((min(device.channels, MAX_CHANNELS), 1, device.channels)):
        for rate in dict.fromkeys((device.sample_rate, *RATES)):
            try:
                with silent_stderr():
                    stream = portaudio.open(
                        rate=rate,
                        channels=channels,
                        format=pyaudio.paInt16,  # PortAudio converts the hardware's format
                        input=True,
                        input_device_index=device.index,
                        frames_per_buffer=round(READ_SECONDS * rate),
                    )
            except OSError as error:
                last_error = error
            else:
                return stream, rate, channels
    raise UnavailableError(
        f"microphone {device.name!r} cannot be opened ({last_error}). Close other programs that record from it"
    )


def _exit_with_parent() -> None:
    """Exit when the daemon is gone, even while PortAudio blocks; otherwise the microphone would stay in use."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _write_header(content: dict[str, Any]) -> None:
    os.write(sys.stdout.fileno(), json.dumps(content).encode() + b"\n")


def main(name: str) -> None:
    """Open the microphone and copy its samples until the reader or the microphone is gone.

    Args:
        name: value of `audio.device`.
    """
    _exit_with_parent()
    import pyaudio

    with silent_stderr():
        portaudio = pyaudio.PyAudio()
    devices = list_devices(portaudio)
    device = choose_device(devices, name)
    if device is None:
        found = ", ".join(repr(each.name) for each in devices) or "none"
        message = f"no microphone matches audio.device {name!r}. Plug it in, or set another; found: {found}"
        _write_header({"state": "missing", "message": message})
        return
    try:
        stream, rate, channels = _open(portaudio, pyaudio, device)
    except UnavailableError as error:
        _write_header({"state": "busy", "message": str(error)})
        return
    _write_header({**asdict(device), "sample_rate": rate, "channels": channels})
    read_length = round(READ_SECONDS * rate)
    while True:
        os.write(sys.stdout.fileno(), stream.read(read_length, exception_on_overflow=False))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the daemon has ended or ends; the teardown of PortAudio may hang
    except OSError as error:
        sys.exit(f"the microphone is gone ({error}). Plug it in again")
