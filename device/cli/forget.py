"""`earshot forget NODE`: deletion of a node that no longer exists, at the broker and in Home Assistant."""

import argparse

from device.config.loader import load_config
from device.config.secrets import read_password
from device.errors import EXIT_DONE
from device.mqtt.retained_topics import forget_node


def run(arguments: argparse.Namespace) -> int:
    """Delete the retained messages of a node; return the exit code.

    Raises:
        EarshotError: no broker, no such node, or the node is online.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    prefix = config.home_assistant.discovery_prefix
    count = forget_node(config.mqtt, read_password(config.mqtt), arguments.node, prefix)
    print(f"{arguments.node}: {count} retained messages are deleted at {config.mqtt.host}:{config.mqtt.port}")
    return EXIT_DONE
