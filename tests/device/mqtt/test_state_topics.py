import json

import numpy as np
import pytest
from support import wait_until

from device.config.models import HomeAssistantConfig, MqttConfig
from device.model.sound_names import sound_names
from device.mqtt.home_assistant_entities import OptionalStates
from device.mqtt.publisher import Publisher
from device.mqtt.spectrogram_image import encode_png
from device.mqtt.state_topics import PublishedDiscovery, StateTopics
from device.outbox.queue import Outbox
from device.types import ClassifiedWindow, Event, Refusal
from device.util.json_store import JsonStore

LABELS = ("siren", "dog_bark")
TOPIC = "homeassistant/device/earshot_balcony/config"


@pytest.fixture
def publisher(mosquitto, tmp_path):
    """Yield the publisher of the node `balcony`, connected to the broker."""
    config = MqttConfig(host="127.0.0.1", port=mosquitto.port)
    with Outbox(tmp_path / "outbox.sqlite") as outbox, Publisher(config, None, "balcony", outbox) as publisher:
        publisher.connect()
        yield publisher


def states(
    publisher, folder, labels=LABELS, classes=(), encode_spectrogram=encode_png, unknown=False, clips=False, **config
):
    names = sound_names(labels, classes)
    optional = OptionalStates(spectrogram=encode_spectrogram is not None, unknown=unknown, clips=clips)
    topics = StateTopics(publisher, "balcony", names, "urban@1", encode_spectrogram, optional)
    store = JsonStore(folder / "home_assistant.json", PublishedDiscovery)
    topics.publish_discovery(HomeAssistantConfig(**config), store)
    return topics


def event(label, end_time=None):
    return Event("start", "7", label, 0.9, {label: 0.9}, 1000.0, end_time, -20.0, "level")


def test_each_label_is_off_until_an_event_starts(peer, publisher, tmp_path):
    """Each label is OFF at first, ON from the start of an event to its end; a start publishes its spectrogram."""
    node = states(publisher, tmp_path)
    for label in ("siren", "dog_bark"):
        peer.until(f"earshot/balcony/sound/{label}", b"OFF")
    node.on_window(
        ClassifiedWindow(0, 0.0, np.zeros(9, np.int16), np.zeros((8, 4), np.float32), np.zeros(2, np.float32))
    )
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON")
    node.on_block(0.03, "level")
    wait_until(lambda: (peer.last("earshot/balcony/spectrogram") or b"").startswith(b"\x89PNG"), 10, "the spectrogram")
    node.on_event(event("siren", end_time=1002.0))
    peer.until("earshot/balcony/sound/siren", b"OFF")
    assert peer.last("earshot/balcony/sound/dog_bark") == b"OFF"


def test_any_sound_is_on_while_one_event_is(peer, publisher, tmp_path):
    """`sounding` is ON from the first start of overlapping events to the last end."""
    node = states(publisher, tmp_path)
    peer.until("earshot/balcony/sounding", b"OFF")
    for each, state in (
        (event("siren"), b"ON"),
        (event("dog_bark"), b"ON"),
        (event("siren", 1002.0), b"ON"),
        (event("dog_bark", 1003.0), b"OFF"),
    ):
        node.on_event(each)
        peer.until(f"earshot/balcony/sound/{each.label}", b"OFF" if each.end_time else b"ON")
        peer.until("earshot/balcony/sounding", state)


def test_the_spectrogram_of_an_early_start_follows_with_its_full_window(peer, publisher, tmp_path):
    """A look shows mostly what was before the sound: no picture of it, or of an earlier sound, is published."""

    def window(level):
        return ClassifiedWindow(
            0, 0.0, np.zeros(9, np.int16), np.full((8, 4), level, np.float32), np.zeros(2, np.float32)
        )

    node = states(publisher, tmp_path)
    node.on_window(window(-1.0))
    node.on_look(window(0.0))
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON")
    node.on_block(0.03, "level")
    node.on_window(window(0.5))
    node.on_block(0.03, "level")
    peer.until("earshot/balcony/spectrogram", encode_png(window(0.5).log_mel))
    node.on_window(window(1.0))
    node.on_block(0.03, "level")
    node.on_event(event("siren", end_time=1002.0))
    peer.until("earshot/balcony/sound/siren", b"OFF")
    assert peer.payloads("earshot/balcony/spectrogram") == [encode_png(window(0.5).log_mel)]


@pytest.mark.parametrize("follows", ["block", "end"])
def test_the_spectrogram_follows_its_start(peer, publisher, tmp_path, follows):
    """The picture is encoded with the next block, or the end of the event, so that it does not delay the event."""
    node, log_mel = states(publisher, tmp_path), np.full((8, 4), 0.5, np.float32)
    node.on_window(ClassifiedWindow(0, 0.0, np.zeros(9, np.int16), log_mel, np.zeros(2, np.float32)))
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON")
    assert peer.payloads("earshot/balcony/spectrogram") == []
    if follows == "block":
        node.on_block(0.03, "level")
    else:
        node.on_event(event("siren", end_time=1002.0))
    peer.until("earshot/balcony/spectrogram", encode_png(log_mel))


def test_a_disabled_level_is_deleted(peer, publisher, tmp_path):
    """Without a sound level, the retained one of an earlier run is deleted."""
    peer.publish("earshot/balcony/level", b"{}", retain=True).wait_for_publish(5)
    peer.until("earshot/balcony/level", b"{}", 10)
    states(publisher, tmp_path)
    peer.until("earshot/balcony/level", b"")


def test_disabled_spectrograms_are_deleted(peer, publisher, tmp_path):
    """Without spectrograms, the retained one of an earlier run and Home Assistant's image are deleted."""
    peer.publish("earshot/balcony/spectrogram", b"old", retain=True).wait_for_publish(5)
    peer.until("earshot/balcony/spectrogram", b"old", 10)
    states(publisher, tmp_path)
    wait_until(lambda: peer.payloads(TOPIC), 10, "the first discovery message")  # a later one may replace it unsent
    node = states(publisher, tmp_path, encode_spectrogram=None)
    peer.until("earshot/balcony/spectrogram", b"", 10)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 2, 10, "the second discovery message")
    assert json.loads(peer.last(TOPIC))["components"]["spectrogram"] == {"platform": "image"}
    node.on_window(
        ClassifiedWindow(0, 0.0, np.zeros(9, np.int16), np.zeros((8, 4), np.float32), np.zeros(2, np.float32))
    )
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON", 10)
    assert peer.last("earshot/balcony/spectrogram") == b""


def test_discovery_is_published_again_when_home_assistant_starts(peer, publisher, tmp_path):
    """Home Assistant's birth message causes another discovery message; `offline` does not."""
    states(publisher, tmp_path)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 1, 10, "the discovery message")
    peer.publish("homeassistant/status", "offline").wait_for_publish(5)
    peer.publish("homeassistant/status", "online").wait_for_publish(5)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 2, 10, "the second discovery message")


def test_labels_of_an_earlier_bundle_are_deleted(peer, publisher, tmp_path):
    """A label that the new bundle lacks is deleted from the broker and removed from Home Assistant."""
    states(publisher, tmp_path, labels=("siren", "owl"))
    peer.until("earshot/balcony/sound/owl", b"OFF")
    states(publisher, tmp_path)
    peer.until("earshot/balcony/sound/owl", b"")
    wait_until(lambda: b"dog_bark" in peer.last(TOPIC), 10, "the new discovery message")
    components = json.loads(peer.last(TOPIC))["components"]
    assert components["sound_owl"] == {"platform": "binary_sensor"}
    assert components["threshold_owl"] == {"platform": "number"}


def test_an_audioset_class_has_a_state_while_it_is_configured(peer, publisher, tmp_path):
    """The state of a class is on its slug's topic; it is deleted when the class is no longer configured."""
    node = states(publisher, tmp_path, classes=("Doorbell", "Siren"))
    for slug in ("doorbell", "audioset_siren"):
        peer.until(f"earshot/balcony/sound/{slug}", b"OFF")
    ring = Event("start", "7", "Siren", 0.9, {}, 1000.0, None, -20.0, "level", "audioset", "audioset_siren")
    node.on_event(ring)
    peer.until("earshot/balcony/sound/audioset_siren", b"ON")
    assert peer.last("earshot/balcony/sound/siren") == b"OFF"
    states(publisher, tmp_path, classes=("Doorbell",))
    for state in ("sound", "threshold", "cooldown", "enabled"):
        peer.until(f"earshot/balcony/{state}/audioset_siren", b"")
    assert peer.last("earshot/balcony/sound/doorbell") == b"OFF"


def test_a_node_can_be_removed_from_home_assistant(peer, publisher, tmp_path):
    """With discovery disabled, or another prefix, the old discovery message is deleted."""
    states(publisher, tmp_path)
    wait_until(lambda: peer.last(TOPIC), 10, "the discovery message")
    states(publisher, tmp_path, discovery_prefix="ha")
    peer.until(TOPIC, b"")
    wait_until(lambda: peer.last(TOPIC.replace("homeassistant", "ha")), 10, "the message under the new prefix")
    states(publisher, tmp_path, enabled=False)
    peer.until(TOPIC.replace("homeassistant", "ha"), b"")


def test_the_last_clip_is_deleted_when_clips_are_disabled(peer, publisher, tmp_path):
    """Without clips, the retained one of an earlier run and Home Assistant's correction are removed."""
    states(publisher, tmp_path, clips=True)
    peer.publish("earshot/balcony/clip/last", b"{}", retain=True).wait_for_publish(5)
    wait_until(lambda: b"select" in (peer.last(TOPIC) or b""), 10, "the discovery message")
    states(publisher, tmp_path)
    peer.until("earshot/balcony/clip/last", b"")
    wait_until(lambda: len(peer.payloads(TOPIC)) == 2, 10, "the second discovery message")
    assert json.loads(peer.last(TOPIC))["components"]["correction"] == {"platform": "select"}


UNKNOWN = "earshot/balcony/unknown/last"


def refusal(name, probability=0.9, time=1000.0, reason="unknown"):
    return Refusal(reason, "siren", 0.1, 0.5, time, ((name, probability), ("Speech", 0.05)))


def test_the_last_unknown_sound_is_published(peer, publisher, tmp_path):
    """The likeliest class from 0.2 on is published, at most every 10 s of sound, also after a step of the clock."""
    node = states(publisher, tmp_path, unknown=True)
    node.on_refusal(refusal("Crow"))
    peer.until(UNKNOWN, b"Crow")
    node.on_refusal(refusal("Rain", time=1009.9))
    node.on_refusal(refusal("Wind", probability=0.19, time=1011.0))
    node.on_refusal(refusal("Siren", time=1011.0, reason="below_threshold"))
    node.on_refusal(Refusal("unknown", "siren", 0.1, 0.5, 1011.0))
    node.on_event(event("siren"))
    peer.until("earshot/balcony/sound/siren", b"ON")
    assert peer.payloads(UNKNOWN) == [b"Crow"]
    for name, probability, time in (("Typewriter", 0.2, 1012.0), ("Cow", 0.9, 5.0)):
        node.on_refusal(refusal(name, probability, time))
        peer.until(UNKNOWN, name.encode())


def test_unknown_sounds_that_are_no_longer_published_are_deleted(peer, publisher, tmp_path):
    """Without the key or the network, the retained state and Home Assistant's sensor of earlier runs are deleted."""
    states(publisher, tmp_path, unknown=True).on_refusal(refusal("Crow"))
    peer.until(UNKNOWN, b"Crow")
    node = states(publisher, tmp_path)
    peer.until(UNKNOWN, b"")
    wait_until(lambda: len(peer.payloads(TOPIC)) == 2, 10, "the second discovery message")
    assert json.loads(peer.last(TOPIC))["components"]["unknown_sound"] == {"platform": "sensor"}
    node.on_refusal(refusal("Crow"))
    states(publisher, tmp_path)
    wait_until(lambda: len(peer.payloads(TOPIC)) == 3, 10, "the third discovery message")
    assert peer.payloads(UNKNOWN) == [b"Crow", b""]
