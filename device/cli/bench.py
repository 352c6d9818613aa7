"""`earshot bench`: the costs of listening on this machine, as a table that can be sent in for docs/hardware.md."""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from device.cli.bench_work import loud_windows, quiet_sound, quiet_work
from device.cli.output import print_json, print_note
from device.config.loader import load_config
from device.config.models import Config
from device.errors import EXIT_DONE
from device.model.bundle import Bundle
from device.model.classifier import runtime_name
from device.model.ensemble import Ensemble
from device.monitoring.system_metrics import machine_model, memory_mb, temperature_celsius, throttling, versions
from device.service.runtime import open_bundle

_WINDOWS = 15
"""Windows in a measurement of a network. The median counts, so other programs disturb little."""
_QUIET_SECONDS = 20
"""Length of the quiet sound, s."""


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print a table or JSON; return the exit code."""
    config = load_config(arguments.config, overrides=arguments.set)
    started = time.perf_counter()
    bundle, ensemble = open_bundle(config.model.bundle, config.model.threads)
    load_seconds = time.perf_counter() - started
    print_note("measures for some seconds. Stop `earshot run` and other programs first: sudo systemctl stop earshot")
    figures = dict(_figures(config, bundle, ensemble)) | {"load of the bundle, s": round(load_seconds, 2)}
    machine = _machine(config, bundle)
    if arguments.json:
        print_json({"machine": machine, "figures": figures})
        return EXIT_DONE
    for title, rows in (("machine", machine), ("measured", figures)):
        print(f"| {title} | |\n| --- | --- |")
        for name, value in rows.items():
            print(f"| {name} | {'unknown' if value is None else value} |")
        print()
    return EXIT_DONE


def _figures(config: Config, bundle: Bundle, ensemble: Ensemble) -> Iterator[tuple[str, float | None]]:
    """Yield the name of each figure, with its value."""
    yield "a quiet second, ms of CPU time", _quiet_ms(config, bundle, ensemble)
    windows = loud_windows(bundle)
    for name, network in ensemble.networks.items():
        log_mel = network.log_mel(next(windows))
        yield f"{name}: log-mel of a window, ms", _median_ms(partial(next, map(network.log_mel, windows)))
        yield f"{name}: inference of a window, ms", _median_ms(partial(network.outputs, log_mel))
    yield "a window by all networks, ms", _median_ms(partial(next, map(ensemble.classify_by_all, windows)))
    yield "memory, MB", memory_mb()
    yield "temperature afterwards, °C", temperature_celsius()


def _quiet_ms(config: Config, bundle: Bundle, ensemble: Ensemble) -> float:
    """Return the CPU time of the daemon's main thread for a second of a quiet microphone, ms, without a probe."""
    reads, work = quiet_sound(_QUIET_SECONDS), quiet_work(config, bundle, ensemble)
    started = time.process_time()
    work(reads)
    return round((time.process_time() - started) / _QUIET_SECONDS * 1e3, 2)


def _median_ms(work: Callable[[], Any]) -> float:
    """Return the median time of some runs, ms; the first one, which fills the caches, does not count."""
    times = []
    for _ in range(_WINDOWS + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return round(statistics.median(times[1:]) * 1e3, 2)


def _machine(config: Config, bundle: Bundle) -> dict[str, Any]:
    """Return what the figures depend on. It contains no name, address or serial number."""
    throttled = throttling()
    return {
        "model": machine_model(),
        "cores": os.cpu_count(),
        "threads of a network": config.model.threads,
        "load, 1 minute": round(os.getloadavg()[0], 2),
        "throttled": "unknown" if throttled is None else "yes" if any(vars(throttled).values()) else "no",
        "runtime": runtime_name(),
        "numpy": np.__version__,
        "bundle": str(bundle),
        **versions(),
    }
