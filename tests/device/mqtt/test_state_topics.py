import json

import numpy as np
import pytest
from support import wait_until

from device.config.models import HomeAssistantConfig, MqttConfig
from device.mqtt.publisher import Publisher
from device.mqtt.spectrogram_image import png
from device.mqtt.state_topics import DiscoveryRecord, StateTopics
from device.outbox.queue import Outbox
from device.types import ClassifiedWindow, Event
from device.util.json_store import JsonStore

TOPIC = "homeassistant/device/earshot_balcony/config"


@pytest.fixture
def publisher(mosquitto, tmp_path):
    """Of the node `balcony`, connected to the broker."""
    config = MqttConfig(host="127.0.0.1", port=mosquitto.port)
    with Outbox(tmp_path / "outbox.sqlite") as outbox, Publisher(config, None, "balcony", outbox) as publisher:
        yield publisher


def states(publisher, folder, labels=("siren", "dog_bark"), draw=png, **config):
    made = StateTopics(publisher, "balcony", labels, "urban@1", draw)
    made.announce(HomeAssistantConfig(**config), JsonStore(folder / "home_assistant.json", DiscoveryRecord))
    return made


def event(label, end_time=None):
    return Event("start", "7", label, 0.9, {label: 0.9}, 1000.0, end_time, -20.0, "level")


def test_each_label_is_off_until_it_sounds(peer, publisher, tmp_path):
    """OFF for all at the start, ON with a start, OFF with its end, and the picture of what was heard."""
    node = states(publisher, tmp_path)
    for label in ("siren", "dog_bark"):
        peer.until(f"earshot/balcony/sound/{label}", b"OFF")
    node.on_window(
        ClassifiedWindow(0, 0.0, np.zeros(9, np.int16), np.zeros((8, 4), np.float32), np.zeros(2, np.float32))
    )
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON")
    wait_until(lambda: (peer.last("earshot/balcony/spectrogram") or b"").startswith(b"\x89PNG"), 10, "the picture")
    node.on_event(event("siren", end_time=1002.0))
    peer.until("earshot/balcony/sound/siren", b"OFF")
    assert peer.last("earshot/balcony/sound/dog_bark") == b"OFF"


def test_without_pictures_none_is_left(peer, publisher, tmp_path):
    """The picture of an earlier run is deleted on the broker, and Home Assistant's image removed."""
    peer.publish("earshot/balcony/spectrogram", b"old", retain=True).wait_for_publish(5)
    peer.until("earshot/balcony/spectrogram", b"old", 10)
    states(publisher, tmp_path)
    node = states(publisher, tmp_path, draw=None)
    peer.until("earshot/balcony/spectrogram", b"", 10)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 2, 10, "the second discovery message")
    assert json.loads(peer.last(TOPIC))["components"]["spectrogram"] == {"platform": "image"}
    node.on_window(
        ClassifiedWindow(0, 0.0, np.zeros(9, np.int16), np.zeros((8, 4), np.float32), np.zeros(2, np.float32))
    )
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON", 10)
    assert peer.last("earshot/balcony/spectrogram") == b""


def test_home_assistant_is_told_again_when_it_starts(peer, publisher, tmp_path):
    """Its birth message brings the discovery message again; other news of it do not."""
    states(publisher, tmp_path)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 1, 10, "the discovery message")
    peer.publish("homeassistant/status", "offline").wait_for_publish(5)
    peer.publish("homeassistant/status", "online").wait_for_publish(5)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 2, 10, "the second discovery message")


def test_what_a_new_bundle_cannot_name_is_forgotten(peer, publisher, tmp_path):
    """Its states are deleted on the broker, and its components removed in Home Assistant."""
    states(publisher, tmp_path, labels=("siren", "owl"))
    peer.until("earshot/balcony/sound/owl", b"OFF")
    states(publisher, tmp_path)
    peer.until("earshot/balcony/sound/owl", b"")
    wait_until(lambda: b"dog_bark" in peer.last(TOPIC), 10, "the new discovery message")
    components = json.loads(peer.last(TOPIC))["components"]
    assert components["sound_owl"] == {"platform": "binary_sensor"}
    assert components["threshold_owl"] == {"platform": "number"}


def test_a_node_can_leave_home_assistant(peer, publisher, tmp_path):
    """Turned off, or under another prefix, the old message is deleted, which removes the device there."""
    states(publisher, tmp_path)
    wait_until(lambda: peer.last(TOPIC), 10, "the discovery message")
    states(publisher, tmp_path, discovery_prefix="ha")
    peer.until(TOPIC, b"")
    wait_until(lambda: peer.last(TOPIC.replace("homeassistant", "ha")), 10, "the message under the new prefix")
    states(publisher, tmp_path, enabled=False)
    peer.until(TOPIC.replace("homeassistant", "ha"), b"")
