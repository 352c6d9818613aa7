"""`earshot check`: everything that the daemon needs, looked at once, each fault with its cure.

The verdicts are the daemon's own: config and bundle are loaded as it loads them, the microphone is diagnosed and the
broker's answer explained by the same code. It changes nothing and disturbs no daemon that runs meanwhile.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from device.audio.capture_process import capture_command, find_capture_process
from device.audio.devices import require_pyaudio
from device.audio.level_meter import read_levels
from device.audio.signal_diagnosis import DIAGNOSIS_SECONDS
from device.config.loader import find_config, load_config
from device.config.models import Config
from device.config.paths import state_directory
from device.config.secrets import read_password
from device.errors import EXIT_DONE, EXIT_UNAVAILABLE, EarshotError, UnavailableError
from device.model.bundle import Bundle
from device.model.classifier import Classifier
from device.model.features import log_mel
from device.monitoring.system_metrics import is_hot, temperature_celsius, throttling
from device.mqtt.subscriber import Subscriber
from device.service.runtime import check_labels, open_bundle
from device.util.clock import kernel_synced

CheckState = Literal["ok", "warning", "fault", "skipped"]

_SOUND_DEVICES = Path("/dev/snd")
_TIMED_WINDOWS = 5
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name.
        state: "warning": the daemon works, yet not as well as it could; "skipped": what it needs is not there.
        message: for a person; of a warning or a fault with its cure.
        exit_code: what the command ends with if nothing is worse.
    """

    check: str
    state: CheckState
    message: str
    exit_code: int = EXIT_DONE


class _WarningError(Exception):
    """The daemon works, yet not as well as it could. The message says why, with the cure."""


class _SkippedError(Exception):
    """There is nothing to check. The message says why."""


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """Print a line for each check; gives the exit code: 78 for config and bundle, 69 for what is outside, else 0."""
    code = EXIT_DONE
    for finding in DaemonChecks(arguments.config, arguments.set, stop).findings():
        code = max(code, finding.exit_code)
        if arguments.json:
            content = {"check": finding.check, "state": finding.state, "message": finding.message}
            print(json.dumps(content, ensure_ascii=False), flush=True)
        else:
            print(f"{f'[{finding.state}]':<10} {finding.check}: {finding.message}", flush=True)
    return EXIT_UNAVAILABLE if stop.is_set() else code


class DaemonChecks:
    """All checks, in an order in which a fault explains those that follow.

    Args:
        path: the config file; None takes the installed one.
        overrides: `--set` arguments.
        stop: ends it early.
    """

    def __init__(self, path: Path | None, overrides: list[str], stop: threading.Event) -> None:
        self._path = path
        self._overrides = overrides
        self._stop = stop
        self._config: Config | None = None
        self._network: tuple[Bundle, Classifier] | None = None

    def findings(self) -> Iterator[Finding]:
        """Yield what each check finds; a fault keeps none of the others from being made."""
        checks: dict[str, Callable[[], str]] = {
            "config": self._check_config,
            "bundle": self._check_bundle,
            "speed": self._check_speed,
            "storage": self._check_storage,
            "clock": _check_clock,
            "heat": self._check_heat,
            "sound access": _check_sound_access,
            "microphone": self._check_microphone,
            "broker": self._check_broker,
        }
        for name, check in checks.items():
            if self._stop.is_set():
                return
            try:
                yield Finding(name, "ok", check())
            except _WarningError as warning:
                yield Finding(name, "warning", str(warning))
            except _SkippedError as reason:
                yield Finding(name, "skipped", str(reason))
            except EarshotError as error:
                for line in str(error).splitlines():
                    yield Finding(name, "fault", line, error.exit_code)

    def _needed_config(self) -> Config:
        if self._config is None:
            raise _SkippedError("needs a config without faults")
        return self._config

    def _check_config(self) -> str:
        self._config = load_config(self._path, overrides=self._overrides)
        return f"{find_config(self._path) or 'the defaults: there is no config file'}"

    def _check_bundle(self) -> str:
        config = self._needed_config()
        self._network = bundle, _ = open_bundle(config.model.bundle, config.model.threads)
        check_labels(config, bundle)
        return f"{bundle} computes here what it did where it was made; it knows {', '.join(bundle.labels)}"

    def _check_speed(self) -> str:
        """How long a window takes this machine, against the time until the next one."""
        if self._network is None:
            raise _SkippedError("needs a bundle without faults")
        bundle, classify = self._network
        window, times = np.zeros(bundle.features.window_length, np.int16), []
        for _ in range(_TIMED_WINDOWS):
            started = time.perf_counter()
            classify(log_mel(window, bundle.features))
            times.append(time.perf_counter() - started)
        seconds, hop_seconds = statistics.median(times), self._needed_config().window.hop_seconds
        compared = f"a window takes this machine {seconds * 1000:.0f} ms, and the next comes after {hop_seconds:g} s"
        if seconds > hop_seconds:
            raise UnavailableError(
                f"{compared}: it cannot keep up. Close what else keeps it busy, raise window.hop_seconds, "
                "or train a bundle on a smaller --backbone"
            )
        return compared

    def _check_storage(self) -> str:
        """Whether the outbox, and what is set over MQTT, can be kept."""
        folder = state_directory()
        try:
            existing = next(each for each in (folder, *folder.parents) if each.exists())
            with tempfile.TemporaryFile(dir=existing) as file:
                file.write(b"\0")
            free_megabytes = shutil.disk_usage(existing).free / _MEGABYTE
        except OSError as error:
            raise UnavailableError(
                f"{folder}: cannot be written ({error.strerror}). Make it writable, or set STATE_DIRECTORY"
            ) from error
        limit = (self._config or Config()).outbox.free_megabytes
        if free_megabytes < limit:
            raise UnavailableError(
                f"{folder}: {free_megabytes:.0f} MiB are free on its disk, and the outbox grows only with "
                f"{limit:g} (outbox.free_megabytes). Free some space"
            )
        return f"{folder} can be written, {free_megabytes:.0f} MiB are free"

    def _check_heat(self) -> str:
        """Temperature, and what the firmware of a Raspberry Pi slows it down for."""
        limit = (self._config or Config()).load.hot_celsius
        celsius, slowed = temperature_celsius(), throttling()
        temperature = "no sensor" if celsius is None else f"{celsius:.0f} °C"
        if slowed and "under_voltage" in {*slowed.now, *slowed.since_boot}:
            raise _WarningError(
                f"{temperature}, but the voltage was too low since boot. Use the supply made for this Pi"
            )
        if is_hot(celsius, slowed, limit):
            raise _WarningError(f"{temperature}, and slowed down by it. Give it air, a heat sink or a fan")
        if slowed and slowed.since_boot:
            raise _WarningError(
                f"{temperature}, but it was slowed down by heat since boot. Give it air, or a heat sink"
            )
        return temperature

    def _check_microphone(self) -> str:
        """Listen for as long as the daemon's diagnosis takes."""
        device = self._needed_config().audio.device
        require_pyaudio()
        verdict = deque(read_levels(capture_command(device), DIAGNOSIS_SECONDS, self._stop), maxlen=1)
        if not verdict:
            raise _SkippedError("interrupted")
        last = verdict.pop()
        if last.state in ("missing", "busy") and (process := find_capture_process(device)):
            # ALSA lets one program in, and lists no microphone for the others.
            return f"the daemon has it (process {process}); what it hears is in `health` and its log"
        if last.state != "ok":
            raise UnavailableError(f"{last.state}: {last.message}")
        levels = f", {last.levels.quietest:.0f} to {last.levels.loudest:.0f} dBFS" if last.levels else ""
        return f"{last.message}{levels}"

    def _check_broker(self) -> str:
        config = self._needed_config().mqtt
        with Subscriber(config, read_password(config)):
            return f"{config.host}:{config.port} lets us in"


def _check_clock() -> str:
    if not kernel_synced():
        raise _WarningError(
            "network time has not set it since boot, so the times of events may be wrong. Check the network, "
            "and `timedatectl`"
        )
    return "set by network time"


def _check_sound_access() -> str:
    """Whether whoever runs this may open the sound cards that record."""
    recording = sorted(_SOUND_DEVICES.glob("pcmC*D*c"))
    if not recording:
        raise _SkippedError("no sound card that records is there")
    for device in recording:
        if not os.access(device, os.R_OK | os.W_OK):
            raise UnavailableError(
                f"{device}: this user may not open it. Run: sudo usermod -aG audio $USER, and log in again"
            )
    return f"{len(recording)} sound device{'s' if len(recording) > 1 else ''} may be opened"
