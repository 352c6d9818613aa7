"""Reads the settings: config.yaml, then variables of the environment, then --set. All faults are told at once."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from device.config.models import MQTT_BYTES, Config, MqttConfig
from device.config.yaml_reader import Key, NotYamlError, parse_yaml
from device.errors import ConfigError, shown
from device.util.text import did_you_mean

ENVIRONMENT_PREFIX = "EARSHOT_"
INSTALLED_CONFIG = Path("/etc/earshot/config.yaml")
CREDENTIAL = Path("/etc/credstore/earshot.mqtt_password")
CHECKOUT_CONFIG = Path(__file__).resolve().parents[2] / "config.yaml"


def find_config(path: Path | None = None) -> Path | None:
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
        path: the file; None takes what `find_config` finds, else the defaults.
        overrides: `--set` arguments; a value is YAML, as in the file.
        environment: variables.

    Raises:
        ConfigError: one line for each fault: file, line, key, what is wrong and what is allowed.
    """
    path = find_config(path)
    origins: dict[Key, str] = {}
    faults: list[str] = []
    values = {} if path is None else _read(path, origins, faults)
    given: set[Key] = set()
    for key, text, origin in _overrides(overrides, environment, faults):
        _override(values, key, text)
        origins = {each: where for each, where in origins.items() if each[: len(key)] != key}
        origins |= {key[:end]: origins.get(key[:end], origin) for end in range(1, len(key) + 1)}
        given.add(key)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults += (_describe(fault, origins, str(path or "config")) for fault in error.errors())
    if faults:
        raise ConfigError("\n".join(faults))
    return _anchor(config, path.resolve().parent if path else Path.cwd(), given)


def read_password(config: MqttConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """First line of `password_file`, or of systemd's credential; None where there is neither.

    Raises:
        ConfigError: the file cannot be read or is empty. The password itself is never told.
    """
    key, path = "mqtt.password_file", config.password_file
    if path is None:
        key, path = "the credential", _credential(environment)
        if not os.access(path, os.R_OK):
            return None
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} {path}: not readable ({error})") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{key} {path}: empty. Write the password on its first line")
    if len(lines[0].encode()) > MQTT_BYTES:
        raise ConfigError(f"{key} {path}: its first line is longer than MQTT can carry. Write the password there")
    return lines[0]


def _credential(environment: Mapping[str, str]) -> Path:
    """Where systemd has put it for the service; where the unit takes it from, for root's `earshot check`."""
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        return Path(folder) / "mqtt_password"
    return CREDENTIAL


def _read(path: Path, origins: dict[Key, str], faults: list[str]) -> dict[str, Any]:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    except NotYamlError as error:
        line = f":{error.line}" if error.line else ""
        raise ConfigError(f"{path}{line}: not YAML ({error}). Mend that line") from error
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold `key: value` lines, but holds a {type(values).__name__}")
    origins.update((key, f"{path}:{line}") for key, line in document.lines.items())
    faults += (f"{path}:{line}: {shown('.'.join(key))}: is there twice. Delete one" for key, line in document.repeated)
    return values


def _overrides(
    overrides: Iterable[str], environment: Mapping[str, str], faults: list[str]
) -> Iterator[tuple[Key, str, str]]:
    """Yield key, text and origin of what the environment and then the command line set."""
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            yield tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")), text, shown(name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            yield tuple(key.strip().split(".")), text, f"--set {shown(override)}"
        else:
            faults.append(f"--set {shown(override)}: must be key.path=value, as in --set mqtt.port=1884")


def _override(values: dict[str, Any], key: Key, text: str) -> None:
    """Set one key from text. A value that is not YAML is taken as the text that it is."""
    try:
        value = parse_yaml(text).values
    except NotYamlError:
        value = text
    section = values
    for part in key[:-1]:
        if not isinstance(section.get(part), dict):
            section[part] = {}
        section = section[part]
    section[key[-1]] = value


def _describe(fault: ErrorDetails, origins: Mapping[Key, str], file: str) -> str:
    """`file:line: key: what is wrong. What is allowed`."""
    key = tuple(str(part) for part in fault["loc"])
    known = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in origins), ())
    where = origins.get(known, file)
    name = shown(".".join(key if fault["type"] == "extra_forbidden" else known)) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: {name}: no such key. {did_you_mean(key[-1], _known_keys(key[:-1]))}"
    if fault["type"] == "model_type":
        return f"{where}: {name}: must be a section of `key: value` lines"
    message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    of_one_value = known == key and not isinstance(fault["input"], dict | list)
    found = f"is {shown(repr(fault['input']))}, " if of_one_value else ""
    return f"{where}: {name}: {found}{message}"


def _known_keys(section: tuple[str, ...]) -> list[str]:
    model: Any = Config
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _anchor(config: Config, file_folder: Path, given: set[Key]) -> Config:
    """Make relative paths absolute: those of the `given` keys start where the command was given, others at the file."""

    def folder_of(key: Key) -> Path:
        is_given = any(key[:end] in given for end in range(1, len(key) + 1))
        return Path.cwd() if is_given else file_folder

    def anchor(section: BaseModel, key: Key) -> Any:
        update: dict[str, Any] = {}
        for name, value in section:
            if isinstance(value, Path):
                update[name] = folder_of((*key, name)) / value
            elif isinstance(value, BaseModel):
                update[name] = anchor(value, (*key, name))
        return section.model_copy(update=update)

    anchored: Config = anchor(config, ())
    return anchored
