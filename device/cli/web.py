"""`earshot web`: the page in the browser."""

import argparse

from device.cli.signals import on_signal
from device.config.loader import load_config
from device.errors import EXIT_DONE, UnavailableError
from device.util.extras import install_command


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until a signal; return the exit code.

    Raises:
        UnavailableError: the packages of the page are not installed, or its address is not free.
    """
    port = [] if arguments.port is None else [f"web.port={arguments.port}"]
    config = load_config(arguments.config, overrides=[*arguments.set, *port])
    try:
        from device.web.server import serve
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the package {error.name} of the page is not installed. Run: {install_command('web')}"
        ) from error
    on_signal(lambda: None)  # uvicorn ends at a signal, and then raises it again
    serve(config)
    return EXIT_DONE
