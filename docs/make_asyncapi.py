"""Writes asyncapi.yaml, the machine-readable form of mqtt.md, from the schemas: python docs/make_asyncapi.py."""

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
_THRESHOLD = {"type": "string", "pattern": r"^(0|1|0\.\d+|\d(\.\d+)?e-\d+)$"}
_NEW_THRESHOLD = {"type": "string", "pattern": r"^(default|0|1|0?\.\d+|1\.0+)$"}


@dataclass(frozen=True)
class Channel:
    """A topic.

    Attributes:
        name: of the channel.
        topic: with its parameters in braces.
        means: what is said there.
        payload: name of a schema in schemas/, or the JSON Schema of a text.
        retained: whether the broker keeps it.
        obeyed: whether the device receives it; else it sends it.
    """

    name: str
    topic: str
    means: str
    payload: str | dict[str, Any]
    retained: bool = False
    obeyed: bool = False

    @property
    def content_type(self) -> str:
        """Of the payload: a named schema is of JSON, a text may hold another type."""
        return _JSON if isinstance(self.payload, str) else self.payload.get("contentMediaType", "text/plain")


_JSON = "application/json"
_OWN = "earshot/{node_id}/"
CHANNELS = (
    Channel(
        "status", _OWN + "status", "Whether the device is there; offline is its will.", _ONLINE_OFFLINE, retained=True
    ),
    Channel("event", _OWN + "event", "A sound began or ended, just now.", "event"),
    Channel("backlog", _OWN + "event/backlog", "The same, delivered late: for the record.", "event"),
    Channel("sound", _OWN + "sound/{label}", "Whether a label sounds.", _ON_OFF, retained=True),
    Channel("health", _OWN + "health", "How the device is.", "health", retained=True),
    Channel("spectrogram", _OWN + "spectrogram", "The log-mel that the last event started with.", _PNG, retained=True),
    Channel("listening", _OWN + "listening", "Whether the device listens.", _ON_OFF, retained=True),
    Channel(
        "threshold",
        _OWN + "threshold/{label}",
        "Confidence from which a label becomes an event.",
        _THRESHOLD,
        retained=True,
    ),
    Channel(
        "discovery",
        "homeassistant/device/earshot_{node_id}/config",
        "Makes the node a device of Home Assistant.",
        "discovery",
        retained=True,
    ),
    Channel("setListening", _OWN + "command/listening", "Switches listening.", _ON_OFF, obeyed=True),
    Channel(
        "setThreshold",
        _OWN + "command/threshold/{label}",
        "Sets a threshold, 0 to 1; default is that of config.yaml and the bundle.",
        _NEW_THRESHOLD,
        obeyed=True,
    ),
    Channel("correct", _OWN + "command/correct", "Says what an event really was.", "correct", obeyed=True),
)
_PARAMETERS = {
    "node_id": "node_id of config.yaml, else the host's name",
    "label": "one of the bundle's labels",
}


def schema(name: str) -> dict[str, Any]:
    """One of schemas/."""
    content: dict[str, Any] = json.loads((DOCS / "schemas" / f"{name}.schema.json").read_text())
    return content


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    named = sorted({channel.payload for channel in CHANNELS if isinstance(channel.payload, str)})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Earshot",
            "version": version("earshot"),
            "description": "What a sound sensor says over MQTT, and what it obeys. In words: mqtt.md.",
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
        "description": channel.means,
        "parameters": parameters,
        "messages": {channel.name: message},
    }


def _operation(channel: Channel) -> dict[str, Any]:
    return {
        "action": "receive" if channel.obeyed else "send",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.means,
        "bindings": {"mqtt": {"qos": 1, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        """What stands twice is written twice: people read it."""
        return True


def text() -> str:
    """The file's content."""
    head = "# Made from schemas/ by make_asyncapi.py: change those, not this.\n"
    return head + yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
