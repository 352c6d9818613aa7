"""Entities of Home Assistant's discovery: their topics, templates and classes. Names and ids are added later."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from device.config.base import LONGEST_SECONDS
from device.mqtt.messages import Topics
from device.types import SoundName

Component = dict[str, Any]

# Template of the event entity: the message with an `event_type`, or nothing for an end, which the entity ignores.
_EVENT = "{% if value_json.type == 'start' %}{{ dict(value_json, event_type=value_json.label) | tojson }}{% endif %}"


@dataclass(frozen=True)
class OptionalStates:
    """States that a node publishes or not, by its settings.

    Attributes:
        spectrogram: whether spectrograms are published.
        unknown: whether the AudioSet class of the last unknown sound is published.
        level_calibrated: whether the published sound level is calibrated; None if none is published.
        clips: whether clips are kept, so that the last one can be corrected.
    """

    spectrogram: bool
    unknown: bool = False
    level_calibrated: bool | None = None
    clips: bool = False


def node_components(topics: Topics, names: Sequence[SoundName], states: OptionalStates) -> dict[str, Component]:
    """Make the components of the node, besides those of each label, by key."""
    components = _event_components(topics, names) | _control_components(topics) | _diagnostic_components(topics)
    if not states.spectrogram:
        del components["spectrogram"]
    if states.unknown:
        topic = topics.state("unknown/last")
        components["unknown_sound"] = _sensor(topic, "{{ value }}", icon="mdi:help-circle-outline")
    if states.clips:
        components["correction"] = {
            "platform": "select",
            "icon": "mdi:tag-check-outline",
            "state_topic": topics.state("clip/last"),
            "json_attributes_topic": topics.state("clip/last"),
            "command_topic": f"{topics.command}correct",
        }
    if states.level_calibrated is not None:
        components |= _level_components(topics.state("level"), calibrated=states.level_calibrated)
    return components


def correction_choice(choices: dict[str, str]) -> Component:
    """Make the part of the correction that depends on the language: options, and the templates that translate them.

    Args:
        choices: label as of `command/correct` -> its name.
    """
    labels = {name: label for label, name in choices.items()}
    return {
        "value_template": f"{{{{ {_literal(choices)}.get(value_json.label) }}}}",
        "command_template": (
            f"{{{{ {{'event_id': this.attributes.get('event_id'), 'label': {_literal(labels)}[value]}} | tojson }}}}"
        ),
        "options": list(labels),
    }


def label_components(topics: Topics, slug: str) -> dict[str, Component]:
    """Make the components of one label, by kind: state, settings, count of today, and time of the last event.

    The cool-down and the time are disabled until the user enables them: few users need them for every label.

    Args:
        topics: of the node.
        slug: of the label.
    """

    def setting(kind: str, platform: str, icon: str, **options: Any) -> Component:
        return {
            "platform": platform,
            "icon": icon,
            "entity_category": "config",
            "state_topic": topics.state(f"{kind}/{slug}"),
            "command_topic": f"{topics.command}{kind}/{slug}",
        } | options

    today, key = topics.state("today"), _literal(slug)
    seconds = {"unit_of_measurement": "s", "device_class": "duration", "enabled_by_default": False}
    return {
        "sound": {"platform": "binary_sensor", "device_class": "sound", "state_topic": topics.state(f"sound/{slug}")},
        "threshold": setting("threshold", "number", "mdi:tune-vertical", min=0, max=1, step=0.01, mode="box"),
        "cooldown": setting(
            "cooldown", "number", "mdi:timer-sand", min=0, max=LONGEST_SECONDS, step=1, mode="box", **seconds
        ),
        "enabled": setting("enabled", "switch", "mdi:ear-hearing"),
        "count": _sensor(
            today, f"{{{{ value_json.counts.get({key}, 0) }}}}", icon="mdi:counter", state_class="total_increasing"
        ),
        "last_time": _sensor(
            today,
            f"{{{{ value_json.last_times.get({key}) }}}}",
            device_class="timestamp",
            enabled_by_default=False,
        ),
    }


def _event_components(topics: Topics, names: Sequence[SoundName]) -> dict[str, Component]:
    """Make the components of events: the event, sensors of the last one, its picture, and sensors of all labels."""
    return {
        "event": {
            "platform": "event",
            "icon": "mdi:ear-hearing",
            "state_topic": topics.event,
            "event_types": list(dict.fromkeys(name.label for name in names)),
            "value_template": _EVENT,
        },
        "last_sound": _sensor(topics.event, "{{ value_json.label }}", icon="mdi:waveform"),
        "confidence": _sensor(
            topics.event, "{{ (value_json.confidence * 100) | round }}", unit_of_measurement="%", icon="mdi:percent"
        ),
        "level": _sensor(
            topics.event, "{{ value_json.level_dbfs }}", unit_of_measurement="dBFS", icon="mdi:volume-high"
        ),
        "spectrogram": {
            "platform": "image",
            "image_topic": topics.state("spectrogram"),
            "content_type": "image/png",
        },
        "any_sound": {
            "platform": "binary_sensor",
            "device_class": "sound",
            "state_topic": topics.state("sounding"),
        },
        "sounds_today": _sensor(
            topics.state("today"),
            "{{ value_json.counts.values() | sum }}",
            icon="mdi:counter",
            state_class="total_increasing",
        ),
    }


def _control_components(topics: Topics) -> dict[str, Component]:
    return {
        "listening": {
            "platform": "switch",
            "icon": "mdi:microphone",
            "state_topic": topics.state("listening"),
            "command_topic": topics.command + "listening",
        }
    }


def _diagnostic_components(topics: Topics) -> dict[str, Component]:
    health = topics.state("health")

    def diagnostic(template: str, unit: str, **options: str) -> Component:
        options = {"entity_category": "diagnostic", "state_class": "measurement"} | options
        return _sensor(health, template, unit_of_measurement=unit, **options)

    return {
        "microphone": {
            "platform": "binary_sensor",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": health,
            "value_template": "{{ 'OFF' if value_json.microphone.state == 'ok' else 'ON' }}",
        },
        "inference_time": diagnostic("{{ value_json.inference_ms }}", "ms", device_class="duration"),
        "lost_audio": diagnostic(
            "{{ value_json.lost_audio_ms }}", "ms", device_class="duration", state_class="total_increasing"
        ),
        "outbox": diagnostic("{{ value_json.outbox.depth }}", "messages", icon="mdi:tray-full"),
        "temperature": diagnostic("{{ value_json.temperature_celsius }}", "°C", device_class="temperature"),
    }


def _level_components(topic: str, *, calibrated: bool) -> dict[str, Component]:
    """Make the sensors of the last minute's sound level. Without a calibration, it is no sound pressure."""
    unit = {"unit_of_measurement": "dBA", "device_class": "sound_pressure"}
    if not calibrated:
        unit = {"unit_of_measurement": "dBFS(A)", "icon": "mdi:volume-high"}
    return {
        key: _sensor(topic, f"{{{{ value_json.{key}_db }}}}", state_class="measurement", **unit)
        for key in ("laeq", "lamax", "la90")
    }


def _sensor(topic: str, template: str, **options: Any) -> Component:
    return {"platform": "sensor", "state_topic": topic, "value_template": template} | options


def _literal(value: object) -> str:
    """Return a text or dictionary as a literal of a template. JSON's are literals there as well."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
