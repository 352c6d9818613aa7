"""Settings of the stages after the event: outbox, history, MQTT, Home Assistant, clips."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from device.config.base import Section
from device.config.hosts import host_cure, is_web_address

MQTT_BYTES = 65535
"""Longest text of an MQTT packet's field, in bytes (MQTT 5.0, section 1.5.4)."""

Detail = Literal["blurred", "sharp", "off"]
"""Detail of a published spectrogram."""


class OutboxConfig(Section):
    """Outbox: queue on disk of the messages that the broker has not acknowledged.

    Beyond a limit, the oldest message is deleted.
    """

    messages: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """Largest number of messages in the queue."""
    megabytes: Annotated[float, Field(ge=1, le=100_000)] = 200.0
    """Largest total text of the queued messages, in MB."""
    free_megabytes: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    """Free space on the disk below which the outbox stops growing, in MB."""


class HistoryConfig(Section):
    """History: ended events, kept on this machine for `earshot history` (docs/history.md).

    Beyond a limit, the oldest event is deleted.
    """

    enabled: bool = True
    """Keep ended events."""
    days: Annotated[float, Field(gt=0, le=36_500)] = 365.0
    """Age from which an event is deleted, in days."""
    megabytes: Annotated[float, Field(ge=5, le=100_000)] = 200.0
    """Largest size of the history on disk, in MB. An event takes about 1 kB."""
    free_megabytes: Annotated[float, Field(ge=0, le=1_000_000)] = 100.0
    """Free space on the disk below which the history stops growing, in MB. New events then replace the oldest ones."""


class TlsConfig(Section):
    """TLS encryption. Most brokers offer it on port 8883."""

    enabled: bool = False
    """Encrypt the connection."""
    ca_file: Path | None = None
    """File of certificates of the authorities that may have signed the broker's certificate; null: the system's."""
    certificate_file: Path | None = None
    """File of the device's own certificate, and optionally its chain, if the broker requires one."""
    key_file: Path | None = None
    """File of the private key for `certificate_file`; null if that file also contains the key."""
    check_hostname: bool = True
    """Require that the broker's certificate is valid for the name in `host`."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("key_file is set without certificate_file. Set both")
        return self


class MqttConfig(Section):
    """Connection to the MQTT broker."""

    host: Annotated[str, Field(min_length=1)] = "localhost"
    """Name or address of the broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """TCP port of the broker: usually 1883, or 8883 with TLS."""
    transport: Literal["tcp", "websockets"] = "tcp"
    """Transport: tcp or websockets."""
    websocket_path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/mqtt"
    """Path of the URL with `transport: websockets`."""
    username: Annotated[str, Field(max_length=MQTT_BYTES // 4)] | None = None
    """User name at the broker; null: none."""
    password_file: Path | None = None
    """File with the password on its first line; a relative path starts at the folder of the config file. The password
    itself is never written in the config file or on the command line. null: /etc/credstore/earshot.mqtt_password if it
    exists, which only root and, through systemd, the service can read."""
    tls: TlsConfig = TlsConfig()
    keepalive_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    """Keep-alive interval, in seconds. After 1.5 intervals of silence the broker publishes that the device is
    offline."""
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 20
    """Largest number of messages that are in flight at once. The broker may require a smaller one."""
    live_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Delay after which an unsent event goes to event/backlog instead of event, in seconds."""
    spectrogram: Detail = "blurred"
    """Detail of the published spectrogram of the first three seconds of each event: blurred (averaged over a quarter of
    a second), sharp, or off. Speech can be reconstructed from a sharp one, but hardly a word from a blurred one
    (docs/security.md)."""
    unknown: bool = True
    """Publish the AudioSet class that the last unknown sound resembles most, on `unknown/last`. The bundle needs the
    AudioSet network."""

    @field_validator("spectrogram", mode="before")
    @classmethod
    def _false_is_off(cls, value: object) -> object:
        """Accept `false`, into which a tool that reads YAML 1.1 turns `off` when it writes the file again."""
        return "off" if value in (False, "false", "False") else value

    @field_validator("host")
    @classmethod
    def _names_a_host(cls, value: str) -> str:
        if (cure := host_cure(value)) is not None:
            raise ValueError(f"must be a host's name or address alone. {cure}")
        try:
            value.encode("idna")
        except UnicodeError as error:
            raise ValueError("must be a host's name or address: 1 to 63 characters from dot to dot") from error
        return value


class HomeAssistantConfig(Section):
    """Home Assistant discovery."""

    enabled: bool = True
    """Publish one retained message that makes this node a device of Home Assistant. It has no effect elsewhere."""
    discovery_prefix: Annotated[str, Field(max_length=256)] = "homeassistant"
    """Topic prefix of discovery messages, as set in Home Assistant's MQTT integration."""
    language: Literal["en", "de"] = "en"
    """Language of the entities' names: en or de. Their ids are the same in each."""
    page_url: Annotated[str, Field(max_length=1000)] | None = None
    """Address of the page `earshot web` as a browser opens it, for the device's link, as in http://earshot.local:8470.
    null: as `web.hosts` or `web.host` and `web.port` have it, if the page is reachable from beyond this machine; else
    no link."""

    @field_validator("discovery_prefix")
    @classmethod
    def _begins_a_topic(cls, value: str) -> str:
        if not all(level and level.isprintable() and not set(level) & set("+# ") for level in value.split("/")):
            raise ValueError("begins an MQTT topic, so '+', '#', spaces and a '/' at either end are not allowed")
        return value

    @field_validator("page_url")
    @classmethod
    def _is_an_address_of_a_page(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value):
            raise ValueError("must be the address of a page, as in http://earshot.local:8470")
        return value


class ClipsConfig(Section):
    """Clips: sound of events, kept on this machine so that you can correct their labels and retrain (docs/clips.md)."""

    enabled: bool = False
    """Keep clips."""
    keep_speech: bool = False
    """Also keep clips that may contain speech."""
    voice_labels: tuple[str, ...] = ("children_playing", "street_music")
    """Labels whose sounds contain voices. If one of them scores, or no label does, webrtcvad checks for speech."""
    maximum_seconds: Annotated[float, Field(ge=3, le=60)] = 10.0
    """Longest clip, in seconds. Of a longer event, the last part is kept."""
    maximum_count: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Largest number of uncorrected clips. Beyond it, the oldest of them are deleted."""
    maximum_megabytes: Annotated[float, Field(gt=0, le=100_000)] = 100.0
    """Largest size of all clips together, in MB. Beyond it, the oldest uncorrected clips are deleted."""
    maximum_days: Annotated[float, Field(gt=0, le=3650)] = 14.0
    """Age from which an uncorrected clip is deleted, in days."""
