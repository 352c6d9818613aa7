from hypothesis import given
from hypothesis import strategies as st

from device.model.sound_names import sound_names
from device.mqtt.home_assistant import DeviceInfo, device_id, discovery_message, discovery_topic
from device.mqtt.home_assistant_entities import OptionalStates

LABELS = ("siren", "dog_bark")
PLAIN = OptionalStates(spectrogram=True)


def message(
    labels=LABELS, classes=(), node_id="balcony", published=None, states=PLAIN, page_url=None, taught=(), **options
):
    return discovery_message(
        DeviceInfo(node_id, "0.1.0", "urban@1", page_url),
        sound_names(labels, classes, taught=taught),
        published=published or {},
        states=states,
        **options,
    )


def keys_of(value):
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from keys_of(inner)


def test_a_node_is_a_device_with_all_its_entities():
    """The discovery message contains all entities of the node and of each label."""
    of_label = {
        "sound": "binary_sensor",
        "threshold": "number",
        "cooldown": "number",
        "enabled": "switch",
        "count": "sensor",
        "last_time": "sensor",
    }
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
        "any_sound": "binary_sensor",
        "sounds_today": "sensor",
        **{f"{kind}_{label}": platform for label in LABELS for kind, platform in of_label.items()},
    }


def test_unknown_sounds_have_a_sensor():
    """With unknown sounds published, a sensor shows the last one; it is removed when they are no longer published."""
    components = message(states=OptionalStates(spectrogram=True, unknown=True))["components"]
    sensor = components["unknown_sound"]
    assert (sensor["platform"], sensor["name"]) == ("sensor", "Unknown sound")
    assert sensor["state_topic"] == "earshot/balcony/unknown/last"
    assert message(published={"unknown_sound": "sensor"})["components"]["unknown_sound"] == {"platform": "sensor"}


def test_the_sound_level_is_a_sound_pressure_only_if_calibrated():
    """A calibrated level has the device class and dBA; another one is dBFS(A) without a class; without one, none is."""
    for calibrated in (True, False):
        components = message(states=OptionalStates(spectrogram=True, level_calibrated=calibrated))["components"]
        for key in ("laeq", "lamax", "la90"):
            sensor = components[key]
            assert sensor["state_topic"] == "earshot/balcony/level"
            assert sensor["value_template"] == f"{{{{ value_json.{key}_db }}}}"
            assert sensor["unit_of_measurement"] == ("dBA" if calibrated else "dBFS(A)")
            assert sensor.get("device_class") == ("sound_pressure" if calibrated else None)
    assert message(published={"laeq": "sensor"})["components"]["laeq"] == {"platform": "sensor"}


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


def test_audioset_classes_have_entities_with_their_display_names():
    """A class has a state and a threshold under its slug; one with the name of a label is distinguished from it."""
    components = message(classes=("Smoke detector, smoke alarm", "Siren"))["components"]
    assert components["event"]["event_types"] == ["siren", "dog_bark", "Smoke detector, smoke alarm", "Siren"]
    smoke = components["sound_smoke_detector_smoke_alarm"]
    assert (smoke["platform"], smoke["name"]) == ("binary_sensor", "Smoke detector, smoke alarm")
    assert smoke["state_topic"] == "earshot/balcony/sound/smoke_detector_smoke_alarm"
    assert smoke["default_entity_id"] == "binary_sensor.earshot_balcony_smoke_detector_smoke_alarm"
    siren = components["threshold_audioset_siren"]
    assert (siren["platform"], siren["name"]) == ("number", "Siren (AudioSet) threshold")
    assert siren["command_topic"] == "earshot/balcony/command/threshold/audioset_siren"
    assert components["sound_siren"]["name"] == "Siren"
    ids = [component["default_entity_id"] for component in components.values()]
    assert len(set(ids)) == len(ids)


def test_a_taught_label_has_entities_as_a_label_has():
    """It has a state, a threshold, and a type of the event entity."""
    components = message(taught=("front_door",))["components"]
    assert components["sound_front_door"]["name"] == "Front door"
    assert components["threshold_front_door"]["command_topic"] == "earshot/balcony/command/threshold/front_door"
    assert components["event"]["event_types"] == ["siren", "dog_bark", "front_door"]


def test_an_audioset_class_that_is_no_longer_configured_is_removed():
    """A published component of a class that is no longer configured keeps its platform alone."""
    published = {key: each["platform"] for key, each in message(classes=("Doorbell",))["components"].items()}
    components = message(published=published)["components"]
    assert components["sound_doorbell"] == {"platform": "binary_sensor"}
    assert components["threshold_doorbell"] == {"platform": "number"}


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
