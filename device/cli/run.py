"""`earshot run`: the daemon, under its supervisor."""

import argparse
import faulthandler
import gc
import logging
import signal

from device.audio.capture_kind import Capture
from device.audio.capture_process import CaptureProcess, capture_command
from device.audio.devices import MICROPHONE
from device.cli.signals import on_signal
from device.config.loader import load_config
from device.config.models import Config
from device.errors import EXIT_DONE


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon until a signal, or the end of its input; return the exit code.

    The microphone opens in its own process while this one imports the rest and loads the networks.
    """
    gc.disable()  # what is loaded stays, so that collections would free next to nothing; the daemon enables them
    try:
        config = load_config(arguments.config, overrides=arguments.set)
        audio = config.audio
        if arguments.input != MICROPHONE or audio.source != "microphone":
            return _serve(arguments, config, None)
        capture = Capture(capture_command(audio.device, audio.channels), channels=audio.channels)
        with CaptureProcess(capture, audio.queue_seconds) as first:
            return _serve(arguments, config, first)
    finally:
        gc.enable()


def _serve(arguments: argparse.Namespace, config: Config, capture: CaptureProcess | None) -> int:
    """Run the daemon.

    Args:
        arguments: of the command line.
        config: settings of the first run.
        capture: capture process that the first run reads.
    """
    from device.audio.factory import SourceOptions
    from device.monitoring.health import TRACE
    from device.service import daemon
    from device.service.heartbeat import HEARTBEAT_SECONDS, Heartbeat
    from device.service.runtime import RunSettings, load_settings, taught_version
    from device.service.supervisor import Supervisor
    from device.service.systemd import systemd_notify, watchdog_seconds

    if arguments.trace:
        TRACE.setLevel(logging.DEBUG)
    faulthandler.enable(2)  # on the watchdog's SIGABRT, the stack of each thread goes to the journal
    options = SourceOptions(
        arguments.input,
        arguments.input_rate,
        realtime=arguments.speed == "realtime",
        exit_at_end=arguments.exit_at_end,
    )
    loaded = [config]

    def load() -> RunSettings:
        return load_settings(loaded.pop() if loaded else load_config(arguments.config, overrides=arguments.set))

    notify, watchdog = systemd_notify(), watchdog_seconds()
    if notify is None and arguments.heartbeat is not None:
        notify, watchdog = Heartbeat(arguments.heartbeat), HEARTBEAT_SECONDS
    version = taught_version if options.name == MICROPHONE else None  # other sources cannot be opened twice
    with Supervisor(load, notify, watchdog, version) as supervisor:
        on_signal(supervisor.stop)
        if notify is not None and options.name == MICROPHONE:
            signal.signal(signal.SIGHUP, lambda *_: supervisor.reload())
        daemon.serve(supervisor, options, capture)
    return EXIT_DONE
