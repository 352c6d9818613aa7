import json

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from support import wait_until

from device.config import HomeAssistantConfig, MqttConfig
from device.mqtt.publisher import Publisher
from device.mqtt.states import Announced, States
from device.outbox import Outbox
from device.state_file import StateFile
from device.types import Event, Look

TOPIC = "homeassistant/device/earshot_balcony/config"


class Broker:
    """What the broker keeps, topic -> payload, as a subscriber of everything sees it."""

    def __init__(self, port):
        self.kept, self.heard = {}, []
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("#", 1)
        self.client.loop_start()

    def _on_message(self, _client, _data, message):
        self.heard.append(message.topic)
        self.kept[message.topic] = message.payload

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(mosquitto):
    """Sees all that the broker carries."""
    broker = Broker(mosquitto.port)
    yield broker
    broker.close()


@pytest.fixture
def publisher(mosquitto, tmp_path):
    """Of the node `balcony`, connected to the broker."""
    config = MqttConfig(host="127.0.0.1", port=mosquitto.port)
    with Outbox(tmp_path / "outbox.sqlite") as outbox, Publisher(config, None, "balcony", outbox) as publisher:
        yield publisher


def states(publisher, folder, labels=("siren", "dog_bark"), **config):
    made = States(publisher, "balcony", labels, "urban@1")
    made.announce(HomeAssistantConfig(**config), StateFile(folder / "home_assistant.json", Announced))
    return made


def event(label, end_time=None):
    return Event("start", "7", label, 0.9, {label: 0.9}, 1000.0, end_time, -20.0, "level")


def kept(broker, topic, payload):
    wait_until(lambda: broker.kept.get(topic) == payload, 10, f"{topic} {payload}")


def test_each_label_is_off_until_it_sounds(broker, publisher, tmp_path):
    """OFF for all at the start, ON with a start, OFF with its end, and the picture of what was heard."""
    node = states(publisher, tmp_path)
    for label in ("siren", "dog_bark"):
        kept(broker, f"earshot/balcony/sound/{label}", b"OFF")
    node.classified(Look(0, 0.0, np.zeros(9, np.int16), np.zeros((8, 4), np.float32), np.zeros(2, np.float32)))
    node.heard(event("siren"))
    kept(broker, "earshot/balcony/sound/siren", b"ON")
    wait_until(lambda: broker.kept.get("earshot/balcony/spectrogram", b"").startswith(b"\x89PNG"), 10, "the picture")
    node.heard(event("siren", end_time=1002.0))
    kept(broker, "earshot/balcony/sound/siren", b"OFF")
    assert broker.kept["earshot/balcony/sound/dog_bark"] == b"OFF"


def test_home_assistant_is_told_again_when_it_starts(broker, publisher, tmp_path):
    """Its birth message brings the discovery message again; other news of it do not."""
    states(publisher, tmp_path)
    wait_until(lambda: broker.heard.count(TOPIC) == 1, 10, "the discovery message")
    broker.client.publish("homeassistant/status", "offline", 1).wait_for_publish(5)
    broker.client.publish("homeassistant/status", "online", 1).wait_for_publish(5)
    wait_until(lambda: broker.heard.count(TOPIC) == 2, 10, "the second discovery message")


def test_what_a_new_bundle_cannot_name_is_forgotten(broker, publisher, tmp_path):
    """Its states are deleted on the broker, and its components removed in Home Assistant."""
    states(publisher, tmp_path, labels=("siren", "owl"))
    kept(broker, "earshot/balcony/sound/owl", b"OFF")
    states(publisher, tmp_path)
    kept(broker, "earshot/balcony/sound/owl", b"")
    wait_until(lambda: b"dog_bark" in broker.kept[TOPIC], 10, "the new discovery message")
    components = json.loads(broker.kept[TOPIC])["components"]
    assert components["sound_owl"] == {"platform": "binary_sensor"}
    assert components["threshold_owl"] == {"platform": "number"}


def test_a_node_can_leave_home_assistant(broker, publisher, tmp_path):
    """Turned off, or under another prefix, the old message is deleted, which removes the device there."""
    states(publisher, tmp_path)
    wait_until(lambda: broker.kept.get(TOPIC), 10, "the discovery message")
    states(publisher, tmp_path, discovery_prefix="ha")
    kept(broker, TOPIC, b"")
    wait_until(lambda: broker.kept.get(TOPIC.replace("homeassistant", "ha")), 10, "the message under the new prefix")
    states(publisher, tmp_path, enabled=False)
    kept(broker, TOPIC.replace("homeassistant", "ha"), b"")
