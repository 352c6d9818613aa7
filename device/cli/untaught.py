"""`earshot untaught LABEL`: removal of a taught label."""

import argparse

from device.cli.output import print_json
from device.config.loader import load_config
from device.config.paths import readable_state
from device.errors import EXIT_DONE
from device.model.bundle import load_bundle
from device.service.runtime import SERVICE_HINT
from device.teaching.library import TaughtLibrary


def run(arguments: argparse.Namespace) -> int:
    """Remove a taught label, and what must not become its event; return the exit code.

    Raises:
        EarshotError: it was not taught, or the file cannot be written.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    count = TaughtLibrary(readable_state(), load_bundle(config.model.bundle)).forget(arguments.label)
    if arguments.json:
        print_json({"name": arguments.label, "clips": count})
    else:
        print(f"{arguments.label} is no longer taught; it was learned from {count} clips. {SERVICE_HINT}")
    return EXIT_DONE
