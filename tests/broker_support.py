"""Publisher and events for the tests with the fake broker."""

import json
from contextlib import contextmanager

from support import wait_until

from device.config.models import MqttConfig
from device.mqtt.publisher import Publisher
from device.outbox.queue import Outbox

EVENT, BACKLOG = "earshot/balcony/event", "earshot/balcony/event/backlog"
EVENTS = "earshot/balcony/event/#"


@contextmanager
def publishing(broker, folder, **more):
    """Run a publisher of the node `balcony`."""
    config = MqttConfig(host="127.0.0.1", port=broker.port, **more)
    with Outbox(folder / "outbox.sqlite") as outbox, Publisher(config, None, "balcony", outbox) as publisher:
        publisher.connect()
        yield publisher


def event(number):
    """Return an event message with a number."""
    scores = {f"label_{each}": 0.01 for each in range(20)} | {"siren": 0.9}
    return {"number": number, "id": str(number), "label": "siren", "scores": scores, "replayed": False}


def numbers(broker, topic=EVENT):
    """Return the numbers of the accepted event messages, each once, in the order of their first arrival."""
    return list(dict.fromkeys(json.loads(message.payload)["number"] for message in broker.accepted(topic)))


def connected(publisher):
    """Wait until the publisher is connected."""
    wait_until(lambda: publisher.status().connected, 10, "the connection")
