"""Secrets, each from a file or a systemd credential: the broker's password, the page's token, a stream's address."""

import os
from collections.abc import Mapping
from pathlib import Path

from device.config.audio import url_fault
from device.config.models import MQTT_BYTES, AudioConfig, MqttConfig, WebConfig
from device.errors import ConfigError

CREDENTIAL = Path("/etc/credstore/earshot.mqtt_password")
WEB_CREDENTIAL = Path("/etc/credstore/earshot.web_token")
STREAM_CREDENTIAL = Path("/etc/credstore/earshot.stream_url")
TOKEN_LENGTH = 16
"""Least number of characters of the page's token."""


def read_password(config: MqttConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the first line of `password_file`, else of systemd's credential, else None.

    Raises:
        ConfigError: the file is unreadable or empty. The message never contains the password.
    """
    return _read("mqtt.password_file", config.password_file, CREDENTIAL, "password", environment)


def read_token(config: WebConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the first line of `token_file`, else of systemd's credential, else None.

    Raises:
        ConfigError: the file is unreadable, or its first line is too short. The message never contains the token.
    """
    token = _read("web.token_file", config.token_file, WEB_CREDENTIAL, "token", environment)
    if token is not None and not (len(token) >= TOKEN_LENGTH and token.isascii() and token.isprintable()):
        raise ConfigError(
            f"web.token_file: the first line must have at least {TOKEN_LENGTH} printable ASCII characters. "
            "Make one with: openssl rand -hex 32"
        )
    return token


def read_stream_url(config: AudioConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of the stream: `url`, else the first line of `url_file`, else that of systemd's credential.

    Raises:
        ConfigError: there is none, or it has a fault. The message never contains the address.
    """
    url = config.url or _read("audio.url_file", config.url_file, STREAM_CREDENTIAL, "address", environment)
    if url is None:
        raise ConfigError(
            "audio.url: no address of the stream. Set audio.url, or audio.url_file to a file with the address, "
            f"or write it into {STREAM_CREDENTIAL}"
        )
    if (fault := url_fault(url)) is not None:
        raise ConfigError(f"audio: the address of the stream {fault}")
    return url


def _read(key: str, path: Path | None, credential: Path, noun: str, environment: Mapping[str, str]) -> str | None:
    """Return the first line of a file, else of a systemd credential; None if neither is there."""
    if path is None:
        key, path = "the credential", _credential(credential, environment)
        if not os.access(path, os.R_OK):
            return None
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark, which is no secret
    except OSError as error:
        raise ConfigError(
            f"{key} {path}: not readable ({error.strerror}). Check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{key} {path}: not readable (byte {error.start} is not UTF-8). Save it as UTF-8") from error
    secret = text.partition("\n")[0].removesuffix("\r")
    if not secret:
        raise ConfigError(f"{key} {path}: empty. Write the {noun} on its first line")
    if "\0" in secret:
        raise ConfigError(f"{key} {path}: the first line contains a NUL. Save it as UTF-8")
    if len(secret.encode()) > MQTT_BYTES:
        raise ConfigError(f"{key} {path}: the first line is longer than MQTT allows. Write the {noun} there")
    return secret


def _credential(original: Path, environment: Mapping[str, str]) -> Path:
    """Return the credential's path: systemd's copy for the service, else the original, for `sudo earshot check`."""
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        return Path(folder) / original.name.removeprefix("earshot.")
    return original
