"""Settings: one frozen model for each section, with a unit in each key's docstring.

The defaults are defined here only. config.yaml repeats keys, defaults and docstrings, and a test compares them. The
parameters of the trained network (sample rate, window, features) are part of the bundle.
"""

import socket
from typing import Annotated

from pydantic import Field, field_validator

from device.config.audio import AudioConfig
from device.config.base import Probability, Seconds, Section
from device.config.delivery import (
    MQTT_BYTES,
    ClipsConfig,
    Detail,
    HistoryConfig,
    HomeAssistantConfig,
    MqttConfig,
    OutboxConfig,
    TlsConfig,
)
from device.config.detection import (
    EventsConfig,
    GateConfig,
    LoadConfig,
    ModelConfig,
    NoiseFloorConfig,
    WindowConfig,
)
from device.config.level import LevelConfig
from device.config.notify import NotifyConfig, NotifyRule
from device.config.web import WebConfig

__all__ = [
    "MQTT_BYTES",
    "AudioConfig",
    "ClipsConfig",
    "Config",
    "Detail",
    "EventsConfig",
    "GateConfig",
    "HistoryConfig",
    "HomeAssistantConfig",
    "LevelConfig",
    "LoadConfig",
    "ModelConfig",
    "MqttConfig",
    "NoiseFloorConfig",
    "NotifyConfig",
    "NotifyRule",
    "OutboxConfig",
    "Probability",
    "Seconds",
    "TlsConfig",
    "WebConfig",
    "WindowConfig",
]


class Config(Section):
    """Settings of config.yaml."""

    node_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Name of this device in MQTT topics, as in earshot/<node_id>/event; null: the host's name."""
    audio: AudioConfig = AudioConfig()
    gate: GateConfig = GateConfig()
    window: WindowConfig = WindowConfig()
    load: LoadConfig = LoadConfig()
    model: ModelConfig = ModelConfig()
    events: EventsConfig = EventsConfig()
    outbox: OutboxConfig = OutboxConfig()
    history: HistoryConfig = HistoryConfig()
    level: LevelConfig = LevelConfig()
    mqtt: MqttConfig = MqttConfig()
    home_assistant: HomeAssistantConfig = HomeAssistantConfig()
    clips: ClipsConfig = ClipsConfig()
    web: WebConfig = WebConfig()
    notify: NotifyConfig = NotifyConfig()

    @field_validator("node_id")
    @classmethod
    def _names_a_topic(cls, value: str | None) -> str | None:
        if value is not None and (set(value) & set("/+#") or not value.isprintable() or value != value.strip()):
            raise ValueError("names an MQTT topic, so '/', '+', '#', line breaks and spaces around it are not allowed")
        return value

    @property
    def page_url(self) -> str | None:
        """Address of the page, as the device publishes it; None without one."""
        return self.home_assistant.page_url or self.web.url

    @property
    def node(self) -> str:
        """`node_id`, or the host's name."""
        return self.node_id or socket.gethostname().split(".")[0] or "earshot"
