"""Generator of asyncapi.yaml, the machine-readable form of mqtt.md, from the schemas: python docs/make_asyncapi.py."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
FILE = DOCS / "asyncapi.yaml"

_ON_OFF = {"enum": ["ON", "OFF"]}
_ONLINE_OFFLINE = {"enum": ["online", "offline"]}
_PNG = {"type": "string", "contentMediaType": "image/png"}
_CLASS = {"type": "string", "minLength": 1}
_THRESHOLD = {"type": "string", "pattern": r"^(0|1|0\.\d+|\d(\.\d+)?e-\d+)$"}
_NEW_THRESHOLD = {"type": "string", "pattern": r"^(default|0|1|0?\.\d+|1\.0+)$"}
_SECONDS = {"type": "string", "pattern": r"^\d+(\.\d+)?(e-\d+)?$"}
_LIVE_SECONDS = {"type": "string", "pattern": r"^(|ON|OFF|0|[1-9](\.\d+)?|[1-5]\d(\.\d+)?|60(\.0+)?)$"}
_NEW_SECONDS = {"type": "string", "pattern": r"^(default|\d{1,4}(\.\d+)?)$"}


@dataclass(frozen=True)
class Channel:
    """One MQTT topic, or one family of topics with parameters.

    Attributes:
        name: name of the channel.
        topic: topic, with its parameters in braces.
        description: one sentence on the content.
        payload: name of a schema in schemas/, or the JSON Schema of a text payload.
        retained: True if the broker keeps the last message.
        obeyed: True if the device receives the messages, False if it sends them.
        qos: quality of service.
    """

    name: str
    topic: str
    description: str
    payload: str | dict[str, Any]
    retained: bool = False
    obeyed: bool = False
    qos: int = 1

    @property
    def content_type(self) -> str:
        """Content type of the payload: JSON for a named schema, else the type in the schema of the text."""
        return _JSON if isinstance(self.payload, str) else self.payload.get("contentMediaType", "text/plain")


_JSON = "application/json"
_OWN = "earshot/{node_id}/"
CHANNELS = (
    Channel(
        "status",
        _OWN + "status",
        "Availability of the device; offline is also its will.",
        _ONLINE_OFFLINE,
        retained=True,
    ),
    Channel("event", _OWN + "event", "Start or end of an event, published live.", "event"),
    Channel("backlog", _OWN + "event/backlog", "Start or end of an event, delivered late.", "event"),
    Channel(
        "sound",
        _OWN + "sound/{label}",
        "ON during an event of the label or AudioSet class, else OFF.",
        _ON_OFF,
        retained=True,
    ),
    Channel("sounding", _OWN + "sounding", "ON during any event, else OFF.", _ON_OFF, retained=True),
    Channel("today", _OWN + "today", "Events of each label since local midnight.", "today", retained=True),
    Channel("clip", _OWN + "clip/last", "Event and label of the last clip.", "clip", retained=True),
    Channel("health", _OWN + "health", "Counters and diagnoses of the device, every minute.", "health", retained=True),
    Channel("level", _OWN + "level", "Sound level of the last minute.", "level", retained=True),
    Channel("live", _OWN + "live", "Level, gate and nearest labels, while asked for by command/live.", "live", qos=0),
    Channel("spectrogram", _OWN + "spectrogram", "Log-mel of the last event, a full window.", _PNG, retained=True),
    Channel(
        "unknown",
        _OWN + "unknown/last",
        "AudioSet class that the last unknown sound resembles most.",
        _CLASS,
        retained=True,
    ),
    Channel("listening", _OWN + "listening", "ON while the device is listening, else OFF.", _ON_OFF, retained=True),
    Channel(
        "threshold",
        _OWN + "threshold/{label}",
        "Confidence from which a label or AudioSet class becomes an event.",
        _THRESHOLD,
        retained=True,
    ),
    Channel(
        "cooldown",
        _OWN + "cooldown/{label}",
        "Pause in seconds after an event, in which the same label or AudioSet class starts no other.",
        _SECONDS,
        retained=True,
    ),
    Channel(
        "enabled",
        _OWN + "enabled/{label}",
        "OFF if the label or AudioSet class starts no event, else ON.",
        _ON_OFF,
        retained=True,
    ),
    Channel(
        "discovery",
        "homeassistant/device/earshot_{node_id}/config",
        "Discovery message: makes the node a device in Home Assistant.",
        "discovery",
        retained=True,
    ),
    Channel("setListening", _OWN + "command/listening", "Switch listening on or off.", _ON_OFF, obeyed=True),
    Channel(
        "setThreshold",
        _OWN + "command/threshold/{label}",
        "Set a threshold, 0 to 1; default restores that of config.yaml and the bundle.",
        _NEW_THRESHOLD,
        obeyed=True,
    ),
    Channel(
        "setCooldown",
        _OWN + "command/cooldown/{label}",
        "Set a cool-down, 0 to 3600 seconds; default restores that of config.yaml.",
        _NEW_SECONDS,
        obeyed=True,
    ),
    Channel(
        "enable",
        _OWN + "command/enabled/{label}",
        "Switch the events of a label or AudioSet class on or off; default is ON.",
        {"enum": ["ON", "OFF", "default"]},
        obeyed=True,
    ),
    Channel(
        "correct",
        _OWN + "command/correct",
        "File the clip of an event under its correct label.",
        "correct",
        obeyed=True,
    ),
    Channel("teach", _OWN + "command/teach", "Teach a label from the clips of events.", "teach", obeyed=True),
    Channel("untaught", _OWN + "command/untaught", "Remove a taught label.", _CLASS, obeyed=True),
    Channel(
        "watch",
        _OWN + "command/live",
        "Publish live values for 1 to 60 seconds, 30 by default; 0 or OFF ends them.",
        _LIVE_SECONDS,
        obeyed=True,
    ),
)
_PARAMETERS = {
    "node_id": "node_id of config.yaml, else the host's name",
    "label": "label of the bundle, taught label, or slug of an AudioSet class of events.audioset, as in doorbell",
}


def schema(name: str) -> dict[str, Any]:
    """Return a schema of schemas/ by name."""
    content: dict[str, Any] = json.loads((DOCS / "schemas" / f"{name}.schema.json").read_text())
    return content


def document() -> dict[str, Any]:
    """Build the AsyncAPI 3.0 document."""
    named = sorted({channel.payload for channel in CHANNELS if isinstance(channel.payload, str)})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Earshot",
            "version": version("earshot"),
            "description": "Messages of a sound sensor over MQTT, and commands to it. In prose: mqtt.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {
            "broker": {"host": "localhost:1883", "protocol": "mqtt", "description": "mqtt.host of config.yaml"}
        },
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {channel.name: _operation(channel) for channel in CHANNELS},
        "components": {"schemas": {name: schema(name) for name in named}},
    }


def _channel(channel: Channel) -> dict[str, Any]:
    is_named = isinstance(channel.payload, str)
    payload = {"$ref": f"#/components/schemas/{channel.payload}"} if is_named else channel.payload
    parameters = {name: {"description": text} for name, text in _PARAMETERS.items() if f"{{{name}}}" in channel.topic}
    message = {"name": channel.name, "contentType": channel.content_type, "payload": payload}
    return {
        "address": channel.topic,
        "description": channel.description,
        "parameters": parameters,
        "messages": {channel.name: message},
    }


def _operation(channel: Channel) -> dict[str, Any]:
    return {
        "action": "receive" if channel.obeyed else "send",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.description,
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        """Write repeated parts in full, without YAML aliases, because people read the file."""
        return True


def text() -> str:
    """Return the content of the file."""
    head = "# Generated from schemas/ by make_asyncapi.py: change those, not this file.\n"
    return head + yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
