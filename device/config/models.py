"""Settings: one frozen model a stage, with the unit beside each field. config_file.py reads them.

The defaults stand here and only here; config.yaml at the root shows and explains each, and a test holds the two
together. What the trained network needs (sample rate, window, features) is in the bundle, not in here.
"""

import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from device.config.quiet_hours import QuietHours

MQTT_BYTES = 65535
"""The longest text that MQTT can carry."""

Seconds = Annotated[float, Field(ge=0, le=3600)]
Probability = Annotated[float, Field(ge=0, le=1)]
Detail = Literal["blurred", "sharp", "off"]
"""Of a published spectrogram."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_named(cls, value: Any) -> Any:
        """What names a file, a host or a device must be fit to be handed to the system."""
        if isinstance(value, str | Path) and "\0" in str(value):
            raise ValueError("holds a NUL, which no name can")
        return value


class AudioConfig(_Section):
    """Where sound comes from."""

    device: str = "auto"
    """`auto` (a USB microphone, else the system's default), `usb:VENDOR:PRODUCT`, or a part of a name."""
    queue_seconds: Annotated[float, Field(ge=1, le=60)] = 10.0
    """Sound that may wait for the classifier before the oldest is dropped and counted, s."""


class NoiseFloorConfig(_Section):
    """What a place sounds like while nothing happens."""

    high_pass_hz: Annotated[float, Field(ge=20, le=1000)] = 60.0
    """Lower edge of the lowest band, Hz: wind and mains hum below it never open the gate."""
    level_db: Annotated[float, Field(gt=0, le=60)] = 14.0
    """Rise of a band above its floor that opens the gate at once, dB."""
    deviations: Annotated[float, Field(gt=0, le=20)] = 7.0
    """The same in mean deviations of the band, so that a place that varies must be exceeded by more."""
    maximum_db: Annotated[float, Field(gt=0, le=100)] = 42.0
    """However much the place varies, a rise by so much opens the gate, dB."""
    lasting_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    """A rise by this share of that opens the gate, too, when it lasts for 0.36 s."""
    rise_db_per_second: Annotated[float, Field(gt=0, le=60)] = 3.0
    """How fast the floor follows while the gate is shut, dB/s."""
    learn_db_per_second: Annotated[float, Field(gt=0, le=100)] = 30.0
    """How fast it learns a sound without a name that has lasted for `learn_seconds`, dB/s."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.maximum_db < self.level_db:
            raise ValueError(f"maximum_db is {self.maximum_db}, less than level_db, which is {self.level_db}")
        return self


class GateConfig(_Section):
    """When something is sounding. Each way to open it can be turned off."""

    level: bool = True
    """Open on level above the noise floor."""
    vad_mode: Annotated[int, Field(ge=0, le=3)] | None = 3
    """Open on webrtcvad, with its aggressiveness, 0 (opens easily) to 3; null turns it off."""
    probe_seconds: Annotated[float, Field(ge=5, le=86400)] | None = 60.0
    """Open for one window after so long a rest, for sounds that were there before, s; null turns it off."""
    vad_blocks: Annotated[int, Field(ge=1, le=100)] = 11
    """Voiced blocks of 30 ms, of the last `vad_window_blocks`, that open the gate."""
    vad_window_blocks: Annotated[int, Field(ge=1, le=100)] = 12
    """Blocks of 30 ms that webrtcvad's vote is taken over."""
    minimum_seconds: Seconds = 0.0
    """How long a sound must stand out from the floor to open the gate, s."""
    hangover_seconds: Seconds = 0.5
    """Quiet that a sound may hold before it counts as over, s."""
    learn_seconds: Annotated[float, Field(ge=1, le=3600)] = 4.0
    """How long a sound without a name may last before the floor learns it, s."""
    floor: NoiseFloorConfig = NoiseFloorConfig()

    @model_validator(mode="after")
    def _can_open(self) -> Self:
        if self.vad_mode is None and not self.level and self.probe_seconds is None:
            raise ValueError("level, vad_mode and probe_seconds are all off: the gate could never open. Turn one on")
        if self.vad_blocks > self.vad_window_blocks:
            raise ValueError(f"vad_blocks is {self.vad_blocks}, more than vad_window_blocks")
        return self


class WindowConfig(_Section):
    """Where the network looks while something sounds."""

    pre_roll_seconds: Seconds = 0.5
    """Part of the first window before the gate opened, so that the onset is in it, s."""
    hop_seconds: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    """From one window to the next while the sound lasts, s."""


class LoadConfig(_Section):
    """What to do while the machine is hot or cannot keep up."""

    maximum_stretch: Annotated[float, Field(ge=1, le=20)] = 4.0
    """Windows and probes may lie so many times as far apart, but windows with no gap between them; 1 turns it off."""
    hot_celsius: Annotated[float, Field(ge=30, le=150)] | None = 80.0
    """Temperature from which the machine is spared, °C; null leaves it to a Pi's firmware to say so."""


class ModelConfig(_Section):
    """The network."""

    bundle: Path = Path("models/urbansound8k")
    """The bundle's folder; a relative path starts at the config file's folder."""
    threads: Annotated[int, Field(ge=1, le=16)] = 1
    """CPU threads of the TFLite interpreter."""


class EventsConfig(_Section):
    """When scores become an event."""

    threshold: Probability | None = None
    """Confidence from which any label becomes an event; null takes each label's own from the bundle."""
    thresholds: dict[str, Probability] = {}
    """Confidence for single labels, before `threshold` and the bundle's."""
    smoothing_windows: Annotated[int, Field(ge=1, le=20)] = 3
    """Windows that are judged together."""
    maximum_seconds: Annotated[float, Field(ge=5, le=86400)] = 600.0
    """An event that lasts longer is ended, and its sound is learnt as noise, s."""
    cooldown_seconds: Seconds = 1.0
    """Pause after an event in which the same label starts no other, s."""
    quiet_hours: list[str] = []
    """Spans of the day, by the local clock, in which no event starts, as in "22:00-07:00"."""

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: list[str]) -> list[str]:
        QuietHours(value)
        return value


class OutboxConfig(_Section):
    """How much may wait for the broker. Where it is too much, the oldest message goes."""

    messages: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    megabytes: Annotated[float, Field(ge=1, le=100_000)] = 200.0
    """Text of the messages that wait, MiB."""
    free_megabytes: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    """With less free on its disk the outbox grows no more, MiB."""


class TlsConfig(_Section):
    """Encryption, and who is who."""

    enabled: bool = False
    ca_file: Path | None = None
    """Certificates of the authorities that may have signed the broker's; null takes the system's."""
    certificate_file: Path | None = None
    """Our own certificate, where the broker wants one; its chain may follow in the file."""
    key_file: Path | None = None
    """Private key of `certificate_file`; null where that file holds it too."""
    check_hostname: bool = True
    """Whether the certificate must be for `mqtt.host`."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("key_file is set without certificate_file. Set both")
        return self


class MqttConfig(_Section):
    """The broker."""

    host: Annotated[str, Field(min_length=1)] = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    transport: Literal["tcp", "websockets"] = "tcp"
    websocket_path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/mqtt"
    """Path in the URL, with `transport: websockets`."""
    username: Annotated[str, Field(max_length=MQTT_BYTES // 4)] | None = None
    password_file: Path | None = None
    """File whose first line is the password; a relative path starts at the config file's folder."""
    tls: TlsConfig = TlsConfig()
    keepalive_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    """Silence after which the broker publishes our will, s (times 1.5, as MQTT has it)."""
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 20
    """Messages that may be on their way, unconfirmed; less where the broker wants less."""
    spectrogram: Detail = "blurred"
    """What is published of an event's spectrogram: from a sharp one speech can be made audible again."""
    live_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """An event that could not be sent for longer goes to event/backlog, s."""

    @field_validator("host")
    @classmethod
    def _names_a_host(cls, value: str) -> str:
        try:
            value.encode("idna")
        except UnicodeError as error:
            raise ValueError("must be a host's name or address: 1 to 63 characters from dot to dot") from error
        return value


class HomeAssistantConfig(_Section):
    """How Home Assistant learns of the node."""

    enabled: bool = True
    """Publish one retained message that makes the node a device there; where there is none, nobody reads it."""
    discovery_prefix: Annotated[str, Field(max_length=256)] = "homeassistant"
    """Where Home Assistant looks for such messages, as set there."""

    @field_validator("discovery_prefix")
    @classmethod
    def _begins_a_topic(cls, value: str) -> str:
        if not all(level and level.isprintable() and not set(level) & set("+# ") for level in value.split("/")):
            raise ValueError("begins an MQTT topic, so '+', '#', spaces and a '/' at either end are not allowed")
        return value


class ClipsConfig(_Section):
    """The sound of events, kept on this machine for its user to correct and retrain with."""

    enabled: bool = False
    keep_speech: bool = False
    """Keep clips that may have speech in them too."""
    voice_labels: tuple[str, ...] = ("children_playing", "street_music")
    """Labels of the bundle that have voices in them: where they score, or nothing does, webrtcvad is asked."""
    maximum_seconds: Annotated[float, Field(ge=3, le=60)] = 10.0
    """Of a longer event, its last part is kept, s."""
    maximum_count: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Clips that wait to be corrected, before the oldest are deleted."""
    maximum_megabytes: Annotated[float, Field(gt=0, le=100_000)] = 100.0
    """Size of all clips from which the oldest uncorrected are deleted, MB."""
    maximum_days: Annotated[float, Field(gt=0, le=3650)] = 14.0
    """Age from which an uncorrected clip is deleted, days."""


class Config(_Section):
    """All of config.yaml."""

    node_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Names this device in topics; null takes the host's name."""
    audio: AudioConfig = AudioConfig()
    gate: GateConfig = GateConfig()
    window: WindowConfig = WindowConfig()
    load: LoadConfig = LoadConfig()
    model: ModelConfig = ModelConfig()
    events: EventsConfig = EventsConfig()
    outbox: OutboxConfig = OutboxConfig()
    mqtt: MqttConfig = MqttConfig()
    home_assistant: HomeAssistantConfig = HomeAssistantConfig()
    clips: ClipsConfig = ClipsConfig()

    @field_validator("node_id")
    @classmethod
    def _names_a_topic(cls, value: str | None) -> str | None:
        if value is not None and (set(value) & set("/+#") or not value.isprintable() or value != value.strip()):
            raise ValueError("names an MQTT topic, so '/', '+', '#', line breaks and spaces around it are not allowed")
        return value

    @property
    def node(self) -> str:
        """`node_id`, or the host's name."""
        return self.node_id or socket.gethostname().split(".")[0] or "earshot"
