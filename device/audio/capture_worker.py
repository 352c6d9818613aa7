"""The program that holds the microphone: PortAudio in, raw samples out on stdout. A process of its own.

    python -m device.audio.capture_worker DEVICE

PortAudio, ALSA and USB drivers hang and crash in ways that no Python code can mend. A process can always be
killed and started again, which also gives PortAudio a fresh look at what is plugged in. So the daemon runs this
one (device/audio/microphone_source.py), reads its pipe, and restarts it whenever it ends or falls silent.

First comes one line of JSON: name, sample_rate, channels; then int16 samples, interleaved, little-endian, for
ever. Where the microphone cannot be opened, the line says why instead (`state`, `message`) and the program ends.
"""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from types import ModuleType
from typing import Any

from device.audio.devices import MAX_CHANNELS, RATES, InputDevice, choose, list_devices
from device.errors import UnavailableError
from device.util.native_stderr import silent_stderr

READ_SECONDS = 0.12
"""What is read at a time."""


def _open(portaudio: Any, pyaudio: ModuleType, device: InputDevice) -> tuple[Any, int, int]:
    """Open at the first rate and channel count that the hardware takes; gives stream, rate, channels."""
    problem: OSError | None = None
    for channels in dict.fromkeys((min(device.channels, MAX_CHANNELS), 1, device.channels)):
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
    devices = list_devices(portaudio)
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
