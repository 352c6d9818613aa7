"""Loader of the settings: config.yaml, then environment variables, then --set. It reports all faults at once."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from device.config.faults import describe
from device.config.keys import ENVIRONMENT_PREFIX, all_keys, takes_one_value, variable
from device.config.models import Config
from device.config.yaml_reader import NULLS, Key, NotYamlError, parse_yaml
from device.errors import ConfigError
from device.util.text import one_line
from device.util.urls import without_password

_LOGGER = logging.getLogger(__name__)

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
        overrides: `--set` arguments.
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
        faults += (describe(fault, origins, str(path or "config")) for fault in error.errors())
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
        raise ConfigError(f"{path}{line}: not YAML ({error}). Correct that line, or put the text in quotes") from error
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        kind = "list" if isinstance(values, list) else "text"
        raise ConfigError(f"{path}: must contain `key: value` lines, but contains a {kind}")
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
            key = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
            if len(key) > 1 or takes_one_value(key):
                yield key, text, one_line(name)
            else:
                _warn_of_foreign_variable(name)
    for override in overrides:
        shown = one_line(without_password(override))
        name, equals, text = override.partition("=")
        if equals:
            yield tuple(name.strip().split(".")), text, f"--set {shown}"
        else:
            faults.append(f"--set {shown}: must be key.path=value, as in --set mqtt.port=1884")


def _warn_of_foreign_variable(name: str) -> None:
    """Log a variable with our prefix that is no setting. A container may set such ones, as in EARSHOT_VERSION=1.2."""
    meant = next((each for each in map(variable, all_keys()) if each.replace("__", "_") == name), "EARSHOT_MQTT__HOST")
    _LOGGER.warning("%s: ignored, because settings are EARSHOT_SECTION__KEY, as in %s", one_line(name), meant)


def _override(values: dict[str, Any], key: Key, text: str) -> None:
    """Set one key from text."""
    section = values
    for part in key[:-1]:
        if not isinstance(section.get(part), dict):
            section[part] = {}
        section = section[part]
    section[key[-1]] = _read_override(key, text)


def _read_override(key: Key, text: str) -> Any:
    """Read a section, list or dictionary as YAML, and a single value as typed: '#' and ': ' have no meaning in it.

    Null and quotation marks mean the same as in the file. Text that is not YAML is used as it is.
    """
    typed = text.strip()
    if takes_one_value(key) and not typed.startswith(("'", '"')):
        return None if typed in NULLS else typed
    try:
        return parse_yaml(text).values
    except NotYamlError:
        return typed


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
