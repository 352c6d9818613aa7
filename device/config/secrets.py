"""Password of the MQTT broker: from a file or from a systemd credential, never from the command line."""

import os
from collections.abc import Mapping
from pathlib import Path

from device.config.models import MQTT_BYTES, MqttConfig
from device.errors import ConfigError

CREDENTIAL = Path("/etc/credstore/earshot.mqtt_password")


def read_password(config: MqttConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the first line of `password_file`, else of systemd's credential, else None.

    Raises:
        ConfigError: the file is unreadable or empty. The message never contains the password.
    """
    key, path = "mqtt.password_file", config.password_file
    if path is None:
        key, path = "the credential", _credential(environment)
        if not os.access(path, os.R_OK):
            return None
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark, which is no password
    except OSError as error:
        raise ConfigError(
            f"{key} {path}: not readable ({error.strerror}). Check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{key} {path}: not readable (byte {error.start} is not UTF-8). Save it as UTF-8") from error
    password = text.partition("\n")[0].removesuffix("\r")
    if not password:
        raise ConfigError(f"{key} {path}: empty. Write the password on its first line")
    if "\0" in password:
        raise ConfigError(f"{key} {path}: the first line contains a NUL. Save it as UTF-8")
    if len(password.encode()) > MQTT_BYTES:
        raise ConfigError(f"{key} {path}: the first line is longer than MQTT allows. Write the password there")
    return password


def _credential(environment: Mapping[str, str]) -> Path:
    """Return the credential's path: systemd's copy for the service, else the original, for `sudo earshot check`."""
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        return Path(folder) / "mqtt_password"
    return CREDENTIAL
