"""`earshot check`: one check for each requirement of the daemon, and the cure of each fault.

The checks call the daemon's own code for config, bundle, microphone and broker. They change nothing, and a daemon may
run at the same time.
"""

import argparse
import itertools
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from device.cli.bench_work import loud_windows
from device.cli.check_broker import BrokerChecks
from device.cli.check_result import CheckResult, CheckState, DegradedError, NothingToCheckError
from device.cli.check_source import check_microphone, check_sound_access, check_stream
from device.cli.output import print_json
from device.cli.support_report import write_report
from device.cli.terminal import Color, paint
from device.config.loader import find_config, load_config
from device.config.models import Config
from device.config.paths import readable_state, state_directory
from device.errors import EXIT_DONE, EXIT_UNAVAILABLE, EarshotError, UnavailableError
from device.model.bundle import Bundle
from device.model.classifier import runtime_name
from device.model.ensemble import Ensemble
from device.monitoring.system_metrics import is_hot, temperature_celsius, throttling
from device.service.runtime import check_labels, open_bundle, publishes_unknown
from device.teaching.library import open_taught
from device.util.clock import kernel_synced
from device.util.units import MEGABYTE

_COLORS: dict[CheckState, Color] = {"ok": "green", "warning": "yellow", "fault": "red"}
_TIMED_WINDOWS = 5


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """Print a line for each result, and return the exit code.

    Returns:
        78 for a fault of config or bundle, 69 for a fault of the machine, microphone or broker, otherwise 0.
    """
    code, results = EXIT_DONE, []
    checks = DaemonChecks(arguments.config, arguments.set, stop)
    for result in checks.results():
        results.append(result)
        code = max(code, result.exit_code)
        if arguments.json:
            print_json({"check": result.check, "state": result.state, "message": result.message})
        else:
            state = paint(f"{f'[{result.state}]':<10}", _COLORS.get(result.state))
            print(f"{state} {result.check}: {result.message}", flush=True)
    if arguments.report is not None:
        write_report(arguments.report, checks.config, results, checks.health)
        print(f"the report is in {arguments.report}. It contains no password", file=sys.stderr)
    return EXIT_UNAVAILABLE if stop.is_set() else code


class DaemonChecks:
    """All checks, in an order in which a fault explains later faults.

    Args:
        path: the config file; None selects the installed one.
        overrides: arguments of `--set`.
        stop: no further check begins once it is set.

    Attributes:
        config: the config; None before its check, and if it has faults.
        health: last health message of the daemon, from the broker; None without one.
    """

    def __init__(self, path: Path | None, overrides: list[str], stop: threading.Event) -> None:
        self._path = path
        self._overrides = overrides
        self._stop = stop
        self.config: Config | None = None
        self.health: bytes | None = None
        self._bundle: tuple[Bundle, Ensemble] | None = None

    def results(self) -> Iterator[CheckResult]:
        """Yield the results of all checks, whether or not earlier checks have faults."""
        for name, check in self._checks():
            if not self._stop.is_set():
                yield from _with_faults(name, map(partial(CheckResult, name, "ok"), _call(check)))
        if not self._stop.is_set():
            yield from _with_faults("broker", self._check_broker())

    def _checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield name and function of each check; those of the source depend on the config, which is checked first."""
        yield "config", self._check_config
        yield "bundle", self._check_bundle
        yield "speed", self._check_speed
        yield "storage", self._check_storage
        yield "clock", _check_clock
        yield "heat", self._check_heat
        if self.config is not None and self.config.audio.source == "stream":
            yield "stream", self._check_stream
        else:
            yield "sound access", check_sound_access
            yield "microphone", self._check_microphone

    def _require_config(self) -> Config:
        if self.config is None:
            raise NothingToCheckError("needs a config without faults")
        return self.config

    def _check_config(self) -> str:
        self.config = load_config(self._path, overrides=self._overrides)
        return f"{find_config(self._path) or 'no config file, so the defaults apply'}"

    def _check_bundle(self) -> str:
        config = self._require_config()
        self._bundle = bundle, _ = open_bundle(config.model.bundle, config.model.threads)
        taught = open_taught(readable_state(), bundle)
        check_labels(config, bundle, taught)
        if taught.faults:
            raise DegradedError("; ".join(taught.faults))
        return f"{bundle} passes its self-test; labels: {', '.join((*bundle.labels, *taught.labels))}"

    def _check_speed(self) -> str:
        """Compare the time for a window, scored by all networks, with the hop."""
        if self._bundle is None:
            raise NothingToCheckError("needs a bundle without faults")
        bundle, ensemble = self._bundle
        times = []
        for window in itertools.islice(loud_windows(bundle), _TIMED_WINDOWS):
            started = time.perf_counter()
            ensemble.classify_by_all(window)
            times.append(time.perf_counter() - started)
        seconds, hop_seconds = statistics.median(times), self._require_config().window.hop_seconds
        comparison = (
            f"{seconds * 1000:.0f} ms for a window in {runtime_name()}, "
            f"which must be less than the hop of {hop_seconds:g} s"
        )
        if seconds > hop_seconds:
            raise UnavailableError(
                f"{comparison}. Close other programs, raise window.hop_seconds, "
                "or train a bundle with a smaller --backbone"
            )
        return comparison

    def _check_storage(self) -> str:
        """Check that outbox and switches can be stored."""
        folder = state_directory()
        try:
            existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
            with tempfile.TemporaryFile(dir=existing) as file:
                file.write(b"\0")
            free_megabytes = shutil.disk_usage(existing).free / MEGABYTE
        except OSError as error:
            raise UnavailableError(
                f"{folder}: not writable ({error.strerror}). Make it writable, or set STATE_DIRECTORY"
            ) from error
        limit = (self.config or Config()).outbox.free_megabytes
        if free_megabytes < limit:
            raise UnavailableError(
                f"{folder}: {free_megabytes:.0f} MB are free on its disk, less than outbox.free_megabytes, {limit:g}, "
                "so the outbox cannot grow. Free some space"
            )
        return f"{folder} is writable, {free_megabytes:.0f} MB are free"

    def _check_heat(self) -> str:
        """Check the temperature, and the throttling of a Raspberry Pi."""
        limit = (self.config or Config()).load.hot_celsius
        celsius, throttled = temperature_celsius(), throttling()
        temperature = "no sensor" if celsius is None else f"{celsius:.0f} °C"
        if throttled and "under_voltage" in {*throttled.now, *throttled.since_boot}:
            raise DegradedError(
                f"{temperature}, but the supply voltage was too low since boot. Use the power supply made for this Pi"
            )
        if is_hot(celsius, throttled, limit):
            raise DegradedError(f"{temperature}, too hot or throttled. Improve the cooling, with a heat sink or a fan")
        if throttled and throttled.since_boot:
            raise DegradedError(
                f"{temperature}, but it was throttled since boot. Improve the cooling, with a heat sink or a fan"
            )
        return temperature

    def _check_microphone(self) -> str:
        return check_microphone(self._require_config().audio, self._stop)

    def _check_stream(self) -> str:
        return check_stream(self._require_config().audio, self._stop)

    def _check_broker(self) -> Iterator[CheckResult]:
        config, label, unknown = self._require_config(), "check", False
        if self._bundle is not None:
            bundle, _ = self._bundle
            label, unknown = bundle.labels[0], publishes_unknown(config, bundle)
        checks = BrokerChecks(config, label, unknown=unknown)
        yield from checks.results()
        self.health = checks.health


def _with_faults(name: str, results: Iterator[CheckResult]) -> Iterator[CheckResult]:
    """Yield results, and the error that ends them as a result of its own."""
    try:
        yield from results
    except DegradedError as error:
        yield CheckResult(name, "warning", str(error))
    except NothingToCheckError as error:
        yield CheckResult(name, "skipped", str(error))
    except EarshotError as error:
        for line in str(error).splitlines():
            yield CheckResult(name, "fault", line, error.exit_code)


def _call(check: Callable[[], str]) -> Iterator[str]:
    """Yield the result of a check."""
    yield check()


def _check_clock() -> str:
    if not kernel_synced():
        raise DegradedError(
            "not set by network time since boot, so the times of events may be wrong. Check the network, "
            "and `timedatectl`"
        )
    return "set by network time"
