from hypothesis import given
from hypothesis import strategies as st

from device.mqtt.home_assistant import device_id, discovery_message, discovery_topic

LABELS = ("siren", "dog_bark")


def message(labels=LABELS, node_id="balcony", published=None):
    return discovery_message(
        node_id, labels, version="0.1.0", bundle="urban@1", published=published or {}, spectrogram=True
    )


def keys_of(value):
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from keys_of(inner)


def test_a_node_is_a_device_with_all_its_entities():
    """The discovery message contains all entities, with a state and a threshold for each label."""
    platforms = {key: component["platform"] for key, component in message()["components"].items()}
    assert platforms == {
        "listening": "switch",
        "microphone": "binary_sensor",
        "inference_time": "sensor",
        "lost_audio": "sensor",
        "outbox": "sensor",
        "temperature": "sensor",
        "event": "event",
        "last_sound": "sensor",
        "confidence": "sensor",
        "level": "sensor",
        "spectrogram": "image",
        "sound_siren": "binary_sensor",
        "threshold_siren": "number",
        "sound_dog_bark": "binary_sensor",
        "threshold_dog_bark": "number",
    }


def test_unknown_sounds_have_a_sensor():
    """With unknown sounds published, a sensor shows the last one; it is removed when they are no longer published."""
    components = discovery_message(
        "balcony", LABELS, version="0.1.0", bundle="b@1", published={}, spectrogram=True, unknown=True
    )["components"]
    sensor = components["unknown_sound"]
    assert (sensor["platform"], sensor["name"]) == ("sensor", "Unknown sound")
    assert sensor["state_topic"] == "earshot/balcony/unknown/last"
    assert message(published={"unknown_sound": "sensor"})["components"]["unknown_sound"] == {"platform": "sensor"}


def test_long_names_and_no_object_id():
    """The keys are not abbreviated, and `object_id`, which Home Assistant 2026.4 removed, is absent."""
    keys = set(keys_of(message()))
    assert {"device", "origin", "components", "availability", "default_entity_id", "unique_id"} <= keys
    assert not keys & {"dev", "o", "cmps", "p", "stat_t", "cmd_t", "uniq_id", "object_id", "dev_cla", "avty"}


def test_a_label_that_no_longer_exists_is_removed():
    """A published component without a label keeps its platform alone; a label that returns is a whole component."""
    published = {"sound_owl": "binary_sensor", "threshold_owl": "number", "sound_siren": "binary_sensor"}
    components = message(published=published)["components"]
    assert components["sound_owl"] == {"platform": "binary_sensor"}
    assert components["threshold_owl"] == {"platform": "number"}
    assert components["sound_siren"]["device_class"] == "sound"
    again = message(published={key: each["platform"] for key, each in components.items()})
    assert again["components"] == components


def test_entity_ids_are_plain():
    """Entity ids consist of lower-case letters, digits and `_`, for any node id."""
    components = message(node_id="Balkon süd 2")["components"]
    assert components["sound_dog_bark"]["default_entity_id"] == "binary_sensor.earshot_balkon_sud_2_dog_bark"
    assert discovery_topic("homeassistant", "balcony") == "homeassistant/device/earshot_balcony/config"


@given(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=2, unique=True))
def test_no_two_nodes_share_a_device(node_ids):
    """Two node ids that differ only in characters that Home Assistant does not allow have different device ids."""
    first, second = (device_id(node_id) for node_id in node_ids)
    assert first != second
    assert all(character.isascii() and (character.isalnum() or character in "_-") for character in first)
