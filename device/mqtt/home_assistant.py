"""MQTT discovery of Home Assistant: the retained message that makes the node a device there, with all its entities.

The format is Home Assistant's device-based discovery (2024.11 and later), with long key names; see
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device.model.sound_names import AUDIOSET_PREFIX
from device.mqtt.messages import OFFLINE, ONLINE, Topics
from device.types import SoundName
from device.util.text import slug

Component = dict[str, Any]

_ESSENTIAL = ("event", "last_sound", "microphone")
"""Components of a node at a broker with small packets."""

# Template of the event entity: the message with an `event_type`, or nothing for an end, which the entity ignores.
_EVENT = "{% if value_json.type == 'start' %}{{ dict(value_json, event_type=value_json.label) | tojson }}{% endif %}"


@dataclass(frozen=True)
class OptionalStates:
    """States that a node publishes or not, by its settings.

    Attributes:
        spectrogram: whether spectrograms are published.
        unknown: whether the AudioSet class of the last unknown sound is published.
        level_calibrated: whether the published sound level is calibrated; None if none is published.
    """

    spectrogram: bool
    unknown: bool = False
    level_calibrated: bool | None = None


def discovery_topic(prefix: str, node_id: str) -> str:
    """Return the topic of the node's discovery message; `prefix` is Home Assistant's discovery prefix."""
    return f"{prefix}/device/{device_id(node_id)}/config"


def device_id(node_id: str) -> str:
    """Return the node's id in Home Assistant, which allows letters, digits, `_` and `-`.

    If other characters were replaced, a part of the node id's hash is appended, so that no two nodes share an id.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", node_id)
    suffix = "" if plain == node_id else "_" + hashlib.sha256(node_id.encode()).hexdigest()[:8]
    return f"earshot_{plain}{suffix}"


def discovery_message(
    node_id: str,
    names: Sequence[SoundName],
    *,
    version: str,
    bundle: str,
    published: Mapping[str, str],
    states: OptionalStates,
) -> dict[str, Any]:
    """Make the discovery message of a node.

    Args:
        node_id: of this device.
        names: labels of its bundle, taught labels, and the AudioSet classes that become events.
        version: of Earshot.
        bundle: name@version.
        published: components of earlier messages, key -> platform. A component that no longer exists is published
            with its platform alone, which removes it from Home Assistant.
        states: published states that depend on the settings.
    """
    topics, device = Topics(node_id), device_id(node_id)
    components = _node_components(topics) | _event_components(topics, names)
    if not states.spectrogram:
        del components["spectrogram"]
    if states.unknown:
        topic = topics.state("unknown/last")
        components["unknown_sound"] = _sensor("Unknown sound", topic, "{{ value }}", icon="mdi:help-circle-outline")
    if states.level_calibrated is not None:
        components |= _level_components(topics.state("level"), calibrated=states.level_calibrated)
    for key, component in components.items():
        component["unique_id"] = f"{device}_{key}"
        component["default_entity_id"] = component["platform"] + "." + slug(f"earshot {node_id} {component['name']}")
    removed = {key: {"platform": platform} for key, platform in published.items() if key not in components}
    return {
        "device": {
            "identifiers": [device],
            "name": f"Earshot {node_id}",
            "manufacturer": "Earshot",
            "model": "Sound sensor",
            "model_id": bundle,
            "sw_version": version,
        },
        "origin": {"name": "Earshot", "sw_version": version},
        "availability": [
            {"topic": topics.status, "payload_available": ONLINE.decode(), "payload_not_available": OFFLINE.decode()}
        ],
        "components": components | removed,
    }


def essential_discovery(message: dict[str, Any]) -> dict[str, Any]:
    """Return a discovery message with the essential components alone, for a broker that limits the size of packets."""
    components = {key: value for key, value in message["components"].items() if key in _ESSENTIAL}
    return message | {"components": components}


def _event_components(topics: Topics, names: Sequence[SoundName]) -> dict[str, Component]:
    """Make the components of events: the event, sensors of the last one, and state and threshold of each name."""
    components: dict[str, Component] = {
        "event": {
            "platform": "event",
            "name": "Sound",
            "icon": "mdi:ear-hearing",
            "state_topic": topics.event,
            "event_types": list(dict.fromkeys(name.label for name in names)),
            "value_template": _EVENT,
        },
        "last_sound": _sensor("Last sound", topics.event, "{{ value_json.label }}", icon="mdi:waveform"),
        "confidence": _sensor(
            "Confidence",
            topics.event,
            "{{ (value_json.confidence * 100) | round }}",
            unit_of_measurement="%",
            icon="mdi:percent",
        ),
        "level": _sensor(
            "Level", topics.event, "{{ value_json.level_dbfs }}", unit_of_measurement="dBFS", icon="mdi:volume-high"
        ),
        "spectrogram": {
            "platform": "image",
            "name": "Spectrogram",
            "image_topic": topics.state("spectrogram"),
            "content_type": "image/png",
        },
    }
    for name in names:
        title = _title(name)
        components[f"sound_{name.slug}"] = {
            "platform": "binary_sensor",
            "name": title,
            "device_class": "sound",
            "state_topic": topics.state(f"sound/{name.slug}"),
        }
        components[f"threshold_{name.slug}"] = {
            "platform": "number",
            "name": f"{title} threshold",
            "icon": "mdi:tune-vertical",
            "entity_category": "config",
            "state_topic": topics.state(f"threshold/{name.slug}"),
            "command_topic": f"{topics.command}threshold/{name.slug}",
            "min": 0,
            "max": 1,
            "step": 0.01,
            "mode": "box",
        }
    return components


def _node_components(topics: Topics) -> dict[str, Component]:
    """Make the components of the node itself: the switch for listening, and its diagnostics."""

    def diagnostic(name: str, template: str, unit: str, **options: str) -> Component:
        options = {"entity_category": "diagnostic", "state_class": "measurement"} | options
        return _sensor(name, topics.state("health"), template, unit_of_measurement=unit, **options)

    return {
        "listening": {
            "platform": "switch",
            "name": "Listening",
            "icon": "mdi:microphone",
            "state_topic": topics.state("listening"),
            "command_topic": topics.command + "listening",
        },
        "microphone": {
            "platform": "binary_sensor",
            "name": "Microphone",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.state("health"),
            "value_template": "{{ 'OFF' if value_json.microphone.state == 'ok' else 'ON' }}",
        },
        "inference_time": diagnostic("Inference time", "{{ value_json.inference_ms }}", "ms", device_class="duration"),
        "lost_audio": diagnostic(
            "Lost audio",
            "{{ value_json.lost_audio_ms }}",
            "ms",
            device_class="duration",
            state_class="total_increasing",
        ),
        "outbox": diagnostic("Outbox", "{{ value_json.outbox.depth }}", "messages", icon="mdi:tray-full"),
        "temperature": diagnostic(
            "Temperature", "{{ value_json.temperature_celsius }}", "°C", device_class="temperature"
        ),
    }


def _level_components(topic: str, *, calibrated: bool) -> dict[str, Component]:
    """Make the sensors of the last minute's sound level. Without a calibration, it is no sound pressure."""
    unit = {"unit_of_measurement": "dBA", "device_class": "sound_pressure"}
    if not calibrated:
        unit = {"unit_of_measurement": "dBFS(A)", "icon": "mdi:volume-high"}
    names = {"laeq": "Sound level", "lamax": "Maximum sound level", "la90": "Background sound level"}
    return {
        key: _sensor(
            name,
            topic,
            f"{{{{ value_json.{key}_db }}}}",
            state_class="measurement",
            **unit,
        )
        for key, name in names.items()
    }


def _sensor(name: str, topic: str, template: str, **options: str) -> Component:
    return {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template} | options


def _title(name: SoundName) -> str:
    """Return the name of an entity. A class with the name of a label differs from it by the name of its vocabulary."""
    if name.vocabulary != "audioset":
        return name.label.replace("_", " ").capitalize()
    return f"{name.label} (AudioSet)" if name.slug.startswith(AUDIOSET_PREFIX) else name.label
