"""Settings: one frozen model a stage, with the unit beside each field. All faults of a file are told at once.

The defaults stand here and only here; config.yaml at the root shows and explains each, and a test holds the two
together. What the trained network needs (sample rate, window, features) is in the bundle, not in here.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from device.errors import ConfigError
from device.quiet_hours import QuietHours
from device.suggest import did_you_mean

ENVIRONMENT_PREFIX = "EARSHOT_"
INSTALLED_CONFIG = Path("/etc/earshot/config.yaml")
CHECKOUT_CONFIG = Path(__file__).resolve().parent.parent / "config.yaml"

Seconds = Annotated[float, Field(ge=0, le=3600)]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    smoothing_windows: Annotated[int, Field(ge=1, le=20)] = 2
    """Windows whose scores are averaged."""
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
    username: str | None = None
    password_file: Path | None = None
    """File whose first line is the password; a relative path starts at the config file's folder."""
    tls: TlsConfig = TlsConfig()
    keepalive_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    """Silence after which the broker publishes our will, s (times 1.5, as MQTT has it)."""
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 20
    """Messages that may be on their way, unconfirmed; less where the broker wants less."""
    live_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """An event that could not be sent for longer goes to event/backlog, s."""


class HomeAssistantConfig(_Section):
    """How Home Assistant learns of the node."""

    enabled: bool = True
    """Publish one retained message that makes the node a device there; where there is none, nobody reads it."""
    discovery_prefix: str = "homeassistant"
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


def config_file(path: Path | None = None) -> Path | None:
    """The file that `load_config` reads: the one given, else the checkout's own, else the installed one, if any."""
    return path or next((file for file in (CHECKOUT_CONFIG, INSTALLED_CONFIG) if file.is_file()), None)


def load_config(
    path: Path | None = None,
    *,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Read the config file, then `EARSHOT_SECTION__KEY` variables, then `key.path=value` overrides.

    Args:
        path: the file; None takes what `config_file` finds, else the defaults.
        overrides: `--set` arguments; a value is YAML, as in the file.
        environment: variables.

    Raises:
        ConfigError: one line for each fault: file, line, key, what is wrong and what is allowed.
    """
    path = config_file(path)
    origins: dict[tuple[str, ...], str] = {}
    values = {} if path is None else _read(path, origins)
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            key = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            _override(values, key, text, name, origins)
    for override in overrides:
        key_path, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: must be key.path=value, as in --set mqtt.port=1884")
        _override(values, tuple(key_path.strip().split(".")), text, f"--set {override}", origins)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults = (_describe(fault, origins, str(path or "config")) for fault in error.errors())
        raise ConfigError("\n".join(faults)) from error
    return _anchor(config, path.resolve().parent if path else None, origins)


def read_password(config: MqttConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """First line of `password_file`, or of systemd's credential `mqtt_password`; None where there is neither.

    Raises:
        ConfigError: the file cannot be read or is empty. The password itself is never told.
    """
    key, path = "mqtt.password_file", config.password_file
    if path is None:
        key, path = "the credential", Path(environment.get("CREDENTIALS_DIRECTORY", "")) / "mqtt_password"
        if "CREDENTIALS_DIRECTORY" not in environment or not path.exists():
            return None
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} {path}: not readable ({error})") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{key} {path}: empty. Write the password on its first line")
    return lines[0]


def _read(path: Path, origins: dict[tuple[str, ...], str]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}{line}: not YAML ({problem}). Mend that line") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold `key: value` lines, but holds a {type(values).__name__}")
    _note_lines(tree, (), path, origins)
    return values


def _note_lines(node: yaml.Node | None, key: tuple[str, ...], path: Path, origins: dict[tuple[str, ...], str]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            below = (*key, str(key_node.value))
            origins[below] = f"{path}:{key_node.start_mark.line + 1}"
            _note_lines(value_node, below, path, origins)


def _override(
    values: dict[str, Any], key: tuple[str, ...], text: str, origin: str, origins: dict[tuple[str, ...], str]
) -> None:
    """Set one key from text. A value that is not YAML is taken as the text that it is."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    section = values
    for part in key[:-1]:
        if not isinstance(section.get(part), dict):
            section[part] = {}
        section = section[part]
    section[key[-1]] = value
    origins[key] = origin


def _describe(fault: ErrorDetails, origins: Mapping[tuple[str, ...], str], file: str) -> str:
    """`file:line: key: what is wrong. What is allowed`."""
    key = tuple(str(part) for part in fault["loc"])
    known = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in origins), ())
    where = origins.get(known, file)
    name = ".".join(key if fault["type"] == "extra_forbidden" else known) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: {name}: no such key. {did_you_mean(key[-1], _known_keys(key[:-1]))}"
    if fault["type"] == "model_type":
        return f"{where}: {name}: must be a section of `key: value` lines"
    message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    of_one_value = known == key and not isinstance(fault["input"], dict | list)
    return f"{where}: {name}: is {fault['input']!r}, {message}" if of_one_value else f"{where}: {name}: {message}"


def _known_keys(section: tuple[str, ...]) -> list[str]:
    model: Any = Config
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _anchor(config: Config, file_folder: Path | None, origins: Mapping[tuple[str, ...], str]) -> Config:
    """Make relative paths absolute: the file's start at its folder, others where the command was given."""

    def folder_of(key: tuple[str, ...]) -> Path:
        from_file = file_folder is not None and origins.get(key, str(file_folder)).startswith(str(file_folder))
        return file_folder if from_file and file_folder else Path.cwd()

    def anchor(section: _Section, key: tuple[str, ...]) -> Any:
        update: dict[str, Any] = {}
        for name, value in section:
            if isinstance(value, Path):
                update[name] = folder_of((*key, name)) / value
            elif isinstance(value, _Section):
                update[name] = anchor(value, (*key, name))
        return section.model_copy(update=update)

    anchored: Config = anchor(config, ())
    return anchored
