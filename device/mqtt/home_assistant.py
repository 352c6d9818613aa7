"""MQTT discovery of Home Assistant: the retained message that makes the node a device there, with all its entities.

The format is Home Assistant's device-based discovery (2024.11 and later), with long key names; see
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from device.mqtt.messages import OFFLINE, ONLINE, Topics

Component = dict[str, Any]

# Template of the event entity: the message with an `event_type`, or nothing for an end, which the entity ignores.
_EVENT = "{% if value_json.type == 'start' %}{{ dict(value_json, event_type=value_json.label) | tojson }}{% endif %}"


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
    labels: Sequence[str],
    *,
    version: str,
    bundle: str,
    published: Mapping[str, str],
    spectrogram: bool,
    unknown: bool = False,
) -> dict[str, Any]:
    """Make the discovery message of a node.

    Args:
        node_id: of this device.
        labels: of its bundle.
        version: of Earshot.
        bundle: name@version.
        published: components of earlier messages, key -> platform. A component that no longer exists is published
            with its platform alone, which removes it from Home Assistant.
        spectrogram: whether spectrograms are published.
        unknown: whether the AudioSet class of the last unknown sound is published.
    """
    topics, device = Topics(node_id), device_id(node_id)
    components = _node_components(topics) | _event_components(topics, labels)
    if not spectrogram:
        del components["spectrogram"]
    if unknown:
        topic = topics.state("unknown/last")
        components["unknown_sound"] = _sensor("Unknown sound", topic, "{{ value }}", icon="mdi:help-circle-outline")
    for key, component in components.items():
        component["unique_id"] = f"{device}_{key}"
        component["default_entity_id"] = component["platform"] + "." + _slug(f"earshot {node_id} {component['name']}")
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


def _event_components(topics: Topics, labels: Sequence[str]) -> dict[str, Component]:
    """Make the components of events: the event, sensors of the last one, and state and threshold of each label."""
    components: dict[str, Component] = {
        "event": {
            "platform": "event",
            "name": "Sound",
            "icon": "mdi:ear-hearing",
            "state_topic": topics.event,
            "event_types": list(labels),
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
    for label in labels:
        name = label.replace("_", " ").capitalize()
        components[f"sound_{label}"] = {
            "platform": "binary_sensor",
            "name": name,
            "device_class": "sound",
            "state_topic": topics.state(f"sound/{label}"),
        }
        components[f"threshold_{label}"] = {
            "platform": "number",
            "name": f"{name} threshold",
            "icon": "mdi:tune-vertical",
            "entity_category": "config",
            "state_topic": topics.state(f"threshold/{label}"),
            "command_topic": f"{topics.command}threshold/{label}",
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


def _sensor(name: str, topic: str, template: str, **options: str) -> Component:
    return {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template} | options


def _slug(text: str) -> str:
    """Reduce a text to lower-case letters, digits and `_`, as in Home Assistant's entity ids."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
