"""Reads the settings: config.yaml, then variables of the environment, then --set. All faults are told at once."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from device.config import Config, MqttConfig
from device.errors import ConfigError
from device.suggest import did_you_mean

ENVIRONMENT_PREFIX = "EARSHOT_"
INSTALLED_CONFIG = Path("/etc/earshot/config.yaml")
CHECKOUT_CONFIG = Path(__file__).resolve().parent.parent / "config.yaml"


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

    def anchor(section: BaseModel, key: tuple[str, ...]) -> Any:
        update: dict[str, Any] = {}
        for name, value in section:
            if isinstance(value, Path):
                update[name] = folder_of((*key, name)) / value
            elif isinstance(value, BaseModel):
                update[name] = anchor(value, (*key, name))
        return section.model_copy(update=update)

    anchored: Config = anchor(config, ())
    return anchored
