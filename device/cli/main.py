"""Entry point of the `earshot` command: arguments, logging, exit codes. Each subcommand is a module beside it."""

import argparse
import io
import logging
import os
import sys

from device.cli.output import print_error
from device.cli.parser import make_parser
from device.cli.signals import stop_on_signal
from device.errors import EXIT_DONE, EarshotError
from device.service.systemd import journal_handler


def main(argv: list[str] | None = None) -> int:
    """Run one command, and return its exit code.

    Returns:
        0 done, 2 wrong arguments, 69 missing external resource, 78 invalid config or bundle. A traceback is a bug.
    """
    # By default, numpy's BLAS has one thread for each core, and they spin between products: 80 % of a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
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


def _run(arguments: argparse.Namespace) -> int:  # noqa: C901, PLR0911, PLR0912 - one case a command
    """Run the command. Its module is imported only now, so `earshot devices` loads no TFLite and `classify` no MQTT."""
    match arguments.command:
        case "run":
            from device.cli import run

            return run.run(arguments)
        case "classify":
            from device.cli import classify

            return classify.run(arguments)
        case "gate":
            from device.cli import gate

            return gate.run(arguments)
        case "events":
            from device.cli import events

            return events.run(arguments)
        case "devices":
            from device.cli import devices

            return devices.run(arguments, stop_on_signal())
        case "check":
            from device.cli import check

            return check.run(arguments, stop_on_signal())
        case "listen":
            from device.cli import listen

            return listen.run(arguments, stop_on_signal())
        case "labels":
            from device.cli import labels

            return labels.run(arguments)
        case "history":
            from device.cli import history

            return history.run(arguments)
        case "level":
            from device.cli import level

            return level.run(arguments, stop_on_signal())
        case "diary":
            from device.cli import diary

            return diary.run(arguments)
        case "clips":
            from device.cli import clips

            return clips.run(arguments)
        case "config":
            from device.cli import config

            return config.run(arguments)
        case other:
            raise AssertionError(f"{other}: the parser accepts this command, but no module runs it")
