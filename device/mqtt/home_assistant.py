"""MQTT discovery of Home Assistant: the retained message that makes the node a device there, with all its entities.

The format is Home Assistant's device-based discovery (2024.11 and later), with long key names; see
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from device.clips.store import NONE
from device.mqtt.home_assistant_entities import (
    Component,
    OptionalStates,
    correction_choice,
    label_components,
    node_components,
)
from device.mqtt.home_assistant_names import ENGLISH, EntityNames
from device.mqtt.messages import OFFLINE, ONLINE, Topics
from device.types import SoundName
from device.util.text import slug

_ESSENTIAL = ("event", "last_sound", "microphone")
"""Components of a node at a broker with small packets."""
_DETAILS = ("cooldown_", "enabled_", "count_", "last_time_")
"""Beginning of the keys of components that are left out first at a broker with a limit."""


@dataclass(frozen=True)
class DeviceInfo:
    """The device as Home Assistant shows it.

    Attributes:
        node_id: of the device.
        version: of Earshot.
        bundle: name@version.
        page_url: address of the page `earshot web`, for a link; None without one.
    """

    node_id: str
    version: str
    bundle: str
    page_url: str | None = None


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
    info: DeviceInfo,
    names: Sequence[SoundName],
    *,
    published: Mapping[str, str],
    states: OptionalStates,
    language: str = ENGLISH,
) -> dict[str, Any]:
    """Make the discovery message of a node.

    Ids never change with the language: `unique_id` contains the key of the component, and `default_entity_id` its
    English name.

    Args:
        info: the device.
        names: labels of its bundle, taught labels, AudioSet classes and alarm patterns that become events.
        published: components of earlier messages, key -> platform. A component that no longer exists is published
            with its platform alone, which removes it from Home Assistant.
        states: published states that depend on the settings.
        language: language of the names.
    """
    topics, device = Topics(info.node_id), device_id(info.node_id)
    components: dict[str, Component] = {}
    english, texts = EntityNames(), EntityNames(language)
    for key, component, name_in in _components(topics, names, states):
        entity_id = slug(f"earshot {info.node_id} {name_in(english)}")
        components[key] = component | {
            "name": name_in(texts),
            "unique_id": f"{device}_{key}",
            "default_entity_id": f"{component['platform']}.{entity_id}",
        }
    if states.clips:
        components["correction"] |= correction_choice(_choices(names, texts))
    removed = {key: {"platform": platform} for key, platform in published.items() if key not in components}
    return {
        "device": {
            "identifiers": [device],
            "name": f"Earshot {info.node_id}",
            "manufacturer": "Earshot",
            "model": "Sound sensor",
            "model_id": info.bundle,
            "sw_version": info.version,
            **({"configuration_url": info.page_url} if info.page_url else {}),
        },
        "origin": {"name": "Earshot", "sw_version": info.version},
        "availability": [
            {"topic": topics.status, "payload_available": ONLINE.decode(), "payload_not_available": OFFLINE.decode()}
        ],
        "components": components | removed,
    }


def without_details(message: dict[str, Any]) -> dict[str, Any]:
    """Return a discovery message without the less important components of labels, for a broker that limits packets."""
    return _reduced(message, lambda key: not key.startswith(_DETAILS))


def essential_discovery(message: dict[str, Any]) -> dict[str, Any]:
    """Return a discovery message with the essential components alone, for a broker that allows small packets only."""
    return _reduced(message, _ESSENTIAL.__contains__)


def _reduced(message: dict[str, Any], is_kept: Callable[[str], bool]) -> dict[str, Any]:
    return message | {"components": {key: value for key, value in message["components"].items() if is_kept(key)}}


def _components(
    topics: Topics, names: Sequence[SoundName], states: OptionalStates
) -> Iterator[tuple[str, Component, Callable[[EntityNames], str]]]:
    """Yield the key of each component, the component without name and ids, and the function that returns its name."""
    for key, component in node_components(topics, names, states).items():
        yield key, component, partial(EntityNames.entity, key=key)
    for name in names:
        for kind, component in label_components(topics, name.slug).items():
            yield f"{kind}_{name.slug}", component, partial(EntityNames.label_entity, kind=kind, name=name)


def _choices(names: Sequence[SoundName], texts: EntityNames) -> dict[str, str]:
    """Return the choices of a correction: label -> name."""
    return {name.slug: texts.label(name) for name in names} | {NONE: texts.none}
