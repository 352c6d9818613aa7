"""`earshot run`: the daemon, under its supervisor."""

import argparse
import faulthandler
import logging
import signal

from device.audio.factory import MICROPHONE, SourceOptions
from device.cli.signals import on_signal
from device.config.loader import load_config
from device.errors import EXIT_DONE
from device.monitoring.health import TRACE
from device.service import daemon
from device.service.runtime import RunSettings, load_settings, taught_version
from device.service.supervisor import Supervisor
from device.service.systemd import systemd_notify, watchdog_seconds


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon until a signal, or the end of its input; return the exit code."""
    if arguments.trace:
        TRACE.setLevel(logging.DEBUG)
    faulthandler.enable(2)  # on the watchdog's SIGABRT, the stack of each thread goes to the journal
    options = SourceOptions(
        arguments.input,
        arguments.input_rate,
        realtime=arguments.speed == "realtime",
        exit_at_end=arguments.exit_at_end,
    )

    def load() -> RunSettings:
        return load_settings(load_config(arguments.config, overrides=arguments.set))

    notify = systemd_notify()
    version = taught_version if options.name == MICROPHONE else None  # other sources cannot be opened twice
    with Supervisor(load, notify, watchdog_seconds(), version) as supervisor:
        on_signal(supervisor.stop)
        if notify is not None and options.name == MICROPHONE:
            signal.signal(signal.SIGHUP, lambda *_: supervisor.reload())
        daemon.serve(supervisor, options)
    return EXIT_DONE
