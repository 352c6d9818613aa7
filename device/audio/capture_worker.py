"""Capture program: copies samples from PortAudio to stdout, in a process of its own.

    python -m device.audio.capture_worker DEVICE CHANNEL [DEAF]...

PortAudio, ALSA and USB drivers may hang or crash, which Python code cannot handle. A process can always be killed and
started again, and a new process lists the microphones that are plugged in now. The daemon reads this one's pipe
(device/audio/microphone_source.py) and starts it again when it ends or stalls.

The output consists of packets (device/audio/packets.py). If the microphone cannot be opened, the header contains
`state` and `message`, and the program ends. Each byte on standard input sets the reads of a packet.
"""

import ctypes
import os
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
from device.audio.packet_writer import PacketWriter, prepare_pipe
from device.audio.packets import encode_line
from device.audio.sound_server import has_no_source, recorded_source
from device.audio.worker import exit_with_parent, write
from device.errors import UnavailableError
from device.util.native_stderr import silent_stderr

READ_SECONDS = 0.12
"""Sound of one read, s."""
_SERVER_SECONDS = 60.0
"""Time between two questions to the sound server, s. Each takes 12 ms of CPU time, in a process of its own."""
_FIRST_SERVER_SECONDS = 5.0
"""The same until the sound server has listed the stream, s."""
_CHECK_SECONDS = 1.0
"""Time between two checks that PortAudio still runs, s."""
_REFUSED_FORMATS = {-9997, -9998, -9994}
"""PortAudio's errors for a sample rate, a number of channels, and a sample format that the hardware does not have."""


def _open(
    portaudio: Any, pyaudio: ModuleType, device: InputDevice, writer: PacketWriter, counts: Sequence[int]
) -> tuple[Any, int, int]:
    """Open with the first channel count and rate that the hardware accepts; return stream, rate, channels.

    Raises:
        UnavailableError: the hardware accepts none.
    """
    has_thread_state = False

    def callback(samples: bytes, _frames: int, _times: Any, flags: int) -> tuple[None, int]:
        nonlocal has_thread_state
        if not has_thread_state:
            # Without a reference of its own, PortAudio's thread has its state made and freed for every read.
            ctypes.pythonapi.PyGILState_Ensure()
            has_thread_state = True
        try:
            writer.add(samples, flags)
        except BrokenPipeError:
            os._exit(0)  # the daemon has ended; the teardown of PortAudio may hang
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


def _report_source(writer: PacketWriter) -> None:
    """Report the source of the sound server, on a thread of its own, at the start and when it changes."""

    def watch() -> None:
        reported = None
        while True:
            source = recorded_source(os.getpid())
            if source != reported and source is not None:
                writer.report_source(source)
                reported = source
            time.sleep(_SERVER_SECONDS if reported else min(_FIRST_SERVER_SECONDS, _SERVER_SECONDS))

    threading.Thread(target=watch, daemon=True).start()


def _obey(writer: PacketWriter) -> None:
    """Set the reads of a packet to each byte on standard input, on a thread of its own."""

    def read() -> None:
        while reads := os.read(sys.stdin.fileno(), 1):
            writer.reads_per_packet = max(1, reads[0])

    threading.Thread(target=read, daemon=True).start()


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
        OSError: PortAudio has stopped, or delivers reads without a sample.
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
    prepare_pipe(sys.stdout.fileno())
    writer = PacketWriter(pyaudio.paInputOverflow, sys.stdout.fileno())
    try:
        counts = channel_counts(device, highest)
        stream, rate, channels = _open(portaudio, pyaudio, device, writer, counts)
        served = None if device.is_hardware or not highest else recorded_source(os.getpid())
        if served is not None and served["channels"] != channels:
            stream.close()
            writer = PacketWriter(pyaudio.paInputOverflow, sys.stdout.fileno())
            stream, rate, channels = _open(portaudio, pyaudio, device, writer, (served["channels"],))
    except UnavailableError as error:
        # ALSA lists its default even where the sound server behind it has no microphone.
        if not device.is_hardware and has_no_source():
            message = "the sound server has no microphone. Plug it in, or look for it in `pactl list short sources`"
            write(encode_line({"state": "missing", "message": message}))
        else:
            write(encode_line({"state": "busy", "message": str(error)}))
        return
    header = {"sample_rate": rate, "channels": channels, "identity": device.identity}
    header["matches"] = equal_matches(devices, name, device)
    writer.begin({**asdict(device), **header})
    if not device.is_hardware:
        _report_source(writer)
    _obey(writer)
    while stream.is_active():
        if writer.is_empty:
            raise OSError("empty reads")
        time.sleep(_CHECK_SECONDS)
    raise OSError("PortAudio ended")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[3:], int(sys.argv[2]))
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the daemon has ended or ends; the teardown of PortAudio may hang
    except OSError:
        os._exit(1)  # the microphone is gone; the daemon opens it again
