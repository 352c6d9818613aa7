"""`earshot events`: events of all nodes, as subscribers receive them."""

import argparse

from device.cli.output import print_json
from device.cli.signals import on_signal
from device.config.loader import load_config
from device.config.secrets import read_password
from device.errors import EXIT_DONE
from device.mqtt.subscriber import Subscriber, format_message


def run(arguments: argparse.Namespace) -> int:
    """Print event messages until a signal; return the exit code."""
    config = load_config(arguments.config, overrides=arguments.set).mqtt
    with Subscriber(config, read_password(config)) as subscriber:
        on_signal(subscriber.close)
        for message in subscriber:
            if arguments.json:
                print_json(message)
            else:
                print(format_message(message), flush=True)
    return EXIT_DONE
