"""Checks of the source of sound: the microphone and the access to it, or the stream."""

import os
import threading
from collections import deque
from pathlib import Path

from device.audio.capture_kind import Capture
from device.audio.capture_process import capture_command, find_capture_process
from device.audio.devices import require_pyaudio
from device.audio.level_meter import LevelReading, read_levels
from device.audio.signal_diagnosis import DIAGNOSIS_SECONDS
from device.audio.stream_source import require_ffmpeg, stream_capture
from device.cli.check_result import NothingToCheckError
from device.config.models import AudioConfig
from device.config.secrets import read_stream_url
from device.errors import UnavailableError

_SOUND_DEVICES = Path("/dev/snd")


def check_microphone(audio: AudioConfig, stop: threading.Event) -> str:
    """Diagnose the microphone as the daemon does; return its state and its levels.

    Raises:
        UnavailableError: it does not work.
        NothingToCheckError: `stop` was set.
    """
    require_pyaudio()
    last = _diagnose(Capture(capture_command(audio.device, audio.channels), channels=audio.channels), stop)
    if last.state in ("missing", "busy") and (process := find_capture_process(audio.device)):
        # ALSA admits one program, and lists no microphone for the others.
        return f"in use by the daemon (process {process}). Its diagnosis is in `health` and in the log"
    return _describe(last)


def check_stream(audio: AudioConfig, stop: threading.Event) -> str:
    """Diagnose the stream as the daemon does, over a connection of its own; return its state and its levels.

    Raises:
        ConfigError: its address has a fault.
        UnavailableError: it does not work, or ffmpeg is not installed.
        NothingToCheckError: `stop` was set.
    """
    capture = stream_capture(read_stream_url(audio), audio.channels)
    require_ffmpeg()
    return _describe(_diagnose(capture, stop))


def check_sound_access() -> str:
    """Check that this user may open the sound devices that record.

    Raises:
        UnavailableError: this user may not.
        NothingToCheckError: no sound device can record.
    """
    recording = sorted(_SOUND_DEVICES.glob("pcmC*D*c"))
    if not recording:
        raise NothingToCheckError("no sound card can record")
    for device in recording:
        if not os.access(device, os.R_OK | os.W_OK):
            raise UnavailableError(
                f"{device}: this user may not open it. Run: sudo usermod -aG audio $USER, and log in again"
            )
    return f"{len(recording)} sound device{'s' if len(recording) > 1 else ''} may be opened"


def _diagnose(capture: Capture, stop: threading.Event) -> LevelReading:
    readings = deque(read_levels(capture, DIAGNOSIS_SECONDS, stop), maxlen=1)
    if not readings:
        raise NothingToCheckError("interrupted")
    return readings.pop()


def _describe(reading: LevelReading) -> str:
    """Return the state of a source that works, with its levels.

    Raises:
        UnavailableError: it does not work.
    """
    if reading.state != "ok":
        raise UnavailableError(f"{reading.state}: {reading.message}")
    levels = reading.levels
    return reading.message + (f", {levels.quietest:.0f} to {levels.loudest:.0f} dBFS" if levels else "")
