"""Entry point of the `earshot` command: arguments, logging, exit codes. Each subcommand is a module beside it."""

import argparse
import io
import logging
import os
import sys
from importlib import import_module

from device.cli.output import print_error
from device.cli.parser import make_parser
from device.cli.signals import stop_on_signal
from device.errors import EXIT_DONE, EarshotError
from device.service.systemd import journal_handler

_UNTIL_SIGNAL = frozenset({"check", "devices", "level", "listen"})
"""Commands that take an event, which a signal sets. The others handle signals themselves or need not."""


def main(argv: list[str] | None = None) -> int:
    """Run one command, and return its exit code.

    Returns:
        0 done, 2 wrong arguments, 69 missing external resource, 78 invalid config or bundle. A traceback is a bug.
    """
    # By default, numpy's BLAS has one thread for each core, and they spin between products: 80 % of a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # pydantic would read the entry points of every installed package in search of plugins; Earshot uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may contain bytes that are not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = make_parser().parse_args(argv)
    if (journal := journal_handler()) is not None:
        logging.basicConfig(level=arguments.log_level, format="%(message)s", handlers=[journal])
    else:
        logging.basicConfig(level=arguments.log_level, format="%(levelname)s: %(message)s")
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except EarshotError as error:
        print_error(error)
        return error.exit_code
    except BrokenPipeError:  # `| head` has ended; otherwise the interpreter prints an error at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    return code


def _run(arguments: argparse.Namespace) -> int:
    """Run the command. Its module is imported only now, so `earshot devices` loads no TFLite and `classify` no MQTT."""
    command = import_module(f"device.cli.{arguments.command}")
    code: int = command.run(arguments, *([stop_on_signal()] if arguments.command in _UNTIL_SIGNAL else []))
    return code
