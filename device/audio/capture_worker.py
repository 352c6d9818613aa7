"""Capture program: copies samples from PortAudio to stdout, in a process of its own.

    python -m device.audio.capture_worker DEVICE CHANNEL [DEAF]...

PortAudio, ALSA and USB drivers may hang or crash, which Python code cannot handle. A process can always be killed and
started again, and a new process lists the microphones that are plugged in now. The daemon reads this one's pipe
(device/audio/microphone_source.py) and starts it again when it ends or stalls.

The output consists of packets (device/audio/packets.py). If the microphone cannot be opened, the header contains
`state` and `message`, and the program ends.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType
from typing import Any

from device.audio.devices import (
    MAX_CHANNELS,
    MORE_RATES,
    RATES,
    InputDevice,
    choose_device,
    equal_matches,
    list_devices,
)
from device.audio.packets import Packet, encode_line
from device.audio.sound_server import recorded_source
from device.audio.worker import exit_with_parent, write
from device.errors import UnavailableError
from device.util.native_stderr import silent_stderr

READ_SECONDS = 0.12
"""Sound of one read, s."""
_WAITING_READS = 80
"""Reads that may wait for the pipe."""
_SERVER_SECONDS = 10.0
"""Time between two questions to the sound server, s."""
_REFUSED_FORMATS = {-9997, -9998, -9994}
"""PortAudio's errors for a sample rate, a number of channels, and a sample format that the hardware does not have."""


class Recording:
    """Reads of an open microphone, on their way from PortAudio's thread to the pipe.

    Args:
        overflow_flag: PortAudio's flag for lost input.
    """

    def __init__(self, overflow_flag: int) -> None:
        self._overflow_flag = overflow_flag
        self._has_lost = False
        self.packets: queue.Queue[Packet] = queue.Queue(_WAITING_READS)

    def add(self, samples: bytes, flags: int) -> None:
        """Add a read; never waits. A read without a place is lost, and the next packet reports it.

        Args:
            samples: interleaved int16.
            flags: PortAudio's status flags.
        """
        self._has_lost |= bool(flags & self._overflow_flag)
        try:
            self.packets.put_nowait(Packet(samples, self._has_lost))
            self._has_lost = False
        except queue.Full:
            self._has_lost = True


def _open(
    portaudio: Any, pyaudio: ModuleType, device: InputDevice, recording: Recording, counts: Sequence[int]
) -> tuple[Any, int, int]:
    """Open with the first channel count and rate that the hardware accepts; return stream, rate, channels.

    Raises:
        UnavailableError: the hardware accepts none.
    """

    def callback(samples: bytes, _frames: int, _times: Any, flags: int) -> tuple[None, int]:
        recording.add(samples, flags)
        return None, pyaudio.paContinue

    errors: list[OSError] = []
    for channels in dict.fromkeys(counts):
        for rate in dict.fromkeys((device.sample_rate, *RATES, *MORE_RATES)):
            try:
                with silent_stderr():
                    stream = portaudio.open(
                        rate=rate,
                        channels=channels,
                        format=pyaudio.paInt16,  # PortAudio converts the hardware's format
                        input=True,
                        input_device_index=device.index,
                        frames_per_buffer=round(READ_SECONDS * rate),
                        stream_callback=callback,
                    )
            except OSError as error:
                errors.append(error)
            else:
                return stream, rate, channels
    raise UnavailableError(open_fault(device.name, errors))


def open_fault(name: str, errors: Sequence[OSError]) -> str:
    """Describe why a microphone cannot be opened, with the cure.

    Args:
        name: name of the microphone.
        errors: PortAudio's error of each attempt, at least one.
    """
    others = [error for error in errors if error.errno not in _REFUSED_FORMATS]
    if not others:
        return (
            f"microphone {name!r} accepts none of the sample rates from {min(MORE_RATES)} to {max(MORE_RATES)} Hz "
            f"({errors[-1]}). Set audio.device to default, which converts the rate, or use another microphone"
        )
    return f"microphone {name!r} cannot be opened ({others[-1]}). Close other programs that record from it"


def _report_source(packets: "queue.Queue[Packet]") -> None:
    """Report the source of the sound server, on a thread of its own, at the start and when it changes."""

    def watch() -> None:
        reported = None
        while True:
            source = recorded_source(os.getpid())
            if source != reported and source is not None:
                packets.put(Packet(server_source=source))
                reported = source
            time.sleep(_SERVER_SECONDS)

    threading.Thread(target=watch, daemon=True).start()


def channel_counts(device: InputDevice, highest: int) -> tuple[int, ...]:
    """Return the numbers of channels with which to open a microphone, in the order of the attempts.

    Args:
        device: the microphone.
        highest: highest channel that is used; 0 if any will do.
    """
    if not highest:
        return min(device.channels, MAX_CHANNELS), 1, device.channels
    if device.is_hardware:
        return (device.channels,)
    # A sound server offers more channels than its source has, and mixes the source's into as many as are asked for.
    return min(device.channels, max(highest, MAX_CHANNELS)), device.channels


def main(name: str, deaf: Sequence[str], highest: int = 0) -> None:
    """Open the microphone and copy its samples until the reader or the microphone is gone.

    Args:
        name: value of `audio.device`.
        deaf: names of microphones that delivered nothing but silence.
        highest: highest channel that is used, counted from 1; 0 if any will do.

    Raises:
        OSError: the microphone is gone.
    """
    exit_with_parent()
    import pyaudio

    with silent_stderr():
        portaudio = pyaudio.PyAudio()
    devices = list_devices(portaudio)
    device = choose_device(devices, name, deaf)
    if device is None:
        found = ", ".join(repr(each.name) for each in devices) or "none"
        message = f"no microphone matches audio.device {name!r}. Plug it in, or set another; found: {found}"
        write(encode_line({"state": "missing", "message": message}))
        return
    recording = Recording(pyaudio.paInputOverflow)
    try:
        counts = channel_counts(device, highest)
        stream, rate, channels = _open(portaudio, pyaudio, device, recording, counts)
        served = None if device.is_hardware or not highest else recorded_source(os.getpid())
        if served is not None and served["channels"] != channels:
            stream.close()
            recording = Recording(pyaudio.paInputOverflow)
            stream, rate, channels = _open(portaudio, pyaudio, device, recording, (served["channels"],))
    except UnavailableError as error:
        write(encode_line({"state": "busy", "message": str(error)}))
        return
    header = {"sample_rate": rate, "channels": channels, "identity": device.identity}
    header["matches"] = equal_matches(devices, name, device)
    write(encode_line({**asdict(device), **header}))
    if not device.is_hardware:
        _report_source(recording.packets)
    _copy(stream, recording)


def _copy(stream: Any, recording: Recording) -> None:
    """Copy packets to the pipe.

    Raises:
        OSError: PortAudio has stopped, or delivers reads without a sample.
    """
    while True:
        try:
            packet = recording.packets.get(timeout=1.0)
        except queue.Empty:
            if not stream.is_active():
                raise OSError("PortAudio ended") from None
            continue
        if not packet.samples and packet.server_source is None:
            raise OSError("empty reads")
        write(packet.encode())


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[3:], int(sys.argv[2]))
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the daemon has ended or ends; the teardown of PortAudio may hang
    except OSError:
        os._exit(1)  # the microphone is gone; the daemon opens it again
