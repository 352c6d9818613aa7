"""Loader of the settings: config.yaml, then environment variables, then --set. It reports all faults at once."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from device.config.models import Config
from device.config.yaml_reader import Key, NotYamlError, parse_yaml
from device.errors import ConfigError
from device.util.text import did_you_mean, one_line

ENVIRONMENT_PREFIX = "EARSHOT_"
INSTALLED_CONFIG = Path("/etc/earshot/config.yaml")
CHECKOUT_CONFIG = Path(__file__).resolve().parents[2] / "config.yaml"


def find_config(path: Path | None = None) -> Path | None:
    """Return the given path, else the config file of the clone, else the installed one, else None."""
    return path or next((file for file in (CHECKOUT_CONFIG, INSTALLED_CONFIG) if file.is_file()), None)


def load_config(
    path: Path | None = None,
    *,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Read the config file, then `EARSHOT_SECTION__KEY` variables, then `key.path=value` overrides; the last one wins.

    Args:
        path: config file; None selects the result of `find_config`, else the defaults.
        overrides: `--set` arguments; a value is YAML, as in the file.
        environment: environment variables.

    Returns:
        The settings, with absolute paths.

    Raises:
        ConfigError: one line for each fault, with file, line, key, the fault and the allowed values.
    """
    path = find_config(path)
    origins: dict[Key, str] = {}
    faults: list[str] = []
    values = {} if path is None else _read(path, origins, faults)
    overridden: set[Key] = set()
    for key, text, origin in _overrides(overrides, environment, faults):
        _override(values, key, text)
        origins = {known: origin_of for known, origin_of in origins.items() if known[: len(key)] != key}
        origins |= {key[:end]: origins.get(key[:end], origin) for end in range(1, len(key) + 1)}
        overridden.add(key)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults += (_describe(fault, origins, str(path or "config")) for fault in error.errors())
    if faults:
        raise ConfigError("\n".join(faults))
    return _anchor(config, path.resolve().parent if path else Path.cwd(), overridden)


def _read(path: Path, origins: dict[Key, str], faults: list[str]) -> dict[str, Any]:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    except NotYamlError as error:
        line = f":{error.line}" if error.line else ""
        raise ConfigError(f"{path}{line}: not YAML ({error}). Correct that line") from error
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must contain `key: value` lines, but contains a {type(values).__name__}")
    origins.update((key, f"{path}:{line}") for key, line in document.lines.items())
    faults += (
        f"{path}:{line}: {one_line('.'.join(key))}: is set twice. Delete one of them" for key, line in document.repeated
    )
    return values


def _overrides(
    overrides: Iterable[str], environment: Mapping[str, str], faults: list[str]
) -> Iterator[tuple[Key, str, str]]:
    """Yield key, text and origin of each override: environment first, then the command line."""
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            yield tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")), text, one_line(name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            yield tuple(key.strip().split(".")), text, f"--set {one_line(override)}"
        else:
            faults.append(f"--set {one_line(override)}: must be key.path=value, as in --set mqtt.port=1884")


def _override(values: dict[str, Any], key: Key, text: str) -> None:
    """Set one key from text. A value that is not YAML is used as plain text."""
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
    """Return a fault as `file:line: key: fault. Allowed values`."""
    key = tuple(str(part) for part in fault["loc"])
    known = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in origins), ())
    where = origins.get(known, file)
    name = one_line(".".join(key if fault["type"] == "extra_forbidden" else known)) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: {name}: no such key. {did_you_mean(key[-1], _known_keys(key[:-1]))}"
    if fault["type"] == "model_type":
        return f"{where}: {name}: must be a section of `key: value` lines"
    message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    of_one_value = known == key and not isinstance(fault["input"], dict | list)
    found = f"is {one_line(repr(fault['input']))}, " if of_one_value else ""
    return f"{where}: {name}: {found}{message}"


def _known_keys(section: tuple[str, ...]) -> list[str]:
    model: Any = Config
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _anchor(config: Config, file_folder: Path, overridden: set[Key]) -> Config:
    """Return the settings with absolute paths.

    A relative path of an overridden key starts at the working directory, because the user typed it there. Any other
    starts at the folder of the config file.

    Args:
        config: settings as validated.
        file_folder: folder of the config file.
        overridden: keys of environment and command line.
    """

    def folder_of(key: Key) -> Path:
        is_overridden = any(key[:end] in overridden for end in range(1, len(key) + 1))
        return Path.cwd() if is_overridden else file_folder

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
