"""Secrets, each from a file or a systemd credential: passwords, tokens, and addresses that contain them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from device.config.audio import url_fault
from device.config.models import MQTT_BYTES, AudioConfig, MqttConfig, NotifyConfig, WebConfig
from device.errors import ConfigError

CREDENTIAL = Path("/etc/credstore/earshot.mqtt_password")
WEB_CREDENTIAL = Path("/etc/credstore/earshot.web_token")
STREAM_CREDENTIAL = Path("/etc/credstore/earshot.stream_url")
NOTIFY_CREDENTIAL = Path("/etc/credstore/earshot.notify_services")
TOKEN_LENGTH = 16
"""Least number of characters of the page's token."""
MOST_SERVICES = 20
"""Most notification services. Each has a thread."""
_ADDRESS = re.compile(r"(?:(?P<name>[\w.-]+)=)?(?P<url>[A-Za-z][\w+.-]*://\S.*)")


@dataclass(frozen=True)
class ServiceAddress:
    """Address of a notification service.

    Attributes:
        name: as the user wrote before the address; empty if nothing.
        line: line in the file, from 1.
        url: Apprise URL, which contains secrets.
    """

    name: str
    line: int
    url: str = field(repr=False)


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


def read_services(config: NotifyConfig, environment: Mapping[str, str] = os.environ) -> tuple[ServiceAddress, ...]:
    """Return the addresses in `services_file`, else in systemd's credential; none without either.

    Each line is `URL` or `NAME=URL`. Empty lines, and lines that begin with #, are ignored.

    Raises:
        ConfigError: the file is unreadable, or a line is no address. The message never contains a line.
    """
    found = _read_text("notify.services_file", config.services_file, NOTIFY_CREDENTIAL, environment)
    if found is None:
        return ()
    place, text = found
    addresses = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ADDRESS.fullmatch(line.strip())
        if match is None:
            raise ConfigError(f"{place}: line {number} is no address. Write URL or NAME=URL, as in phone=ntfy://TOPIC")
        addresses.append(ServiceAddress(match["name"] or "", number, match["url"]))
    if not 1 <= len(addresses) <= MOST_SERVICES:
        raise ConfigError(f"{place}: has {len(addresses)} addresses. Write 1 to {MOST_SERVICES}, one a line")
    return tuple(addresses)


def _read(key: str, path: Path | None, credential: Path, noun: str, environment: Mapping[str, str]) -> str | None:
    """Return the first line of a file, else of a systemd credential; None if neither is there."""
    found = _read_text(key, path, credential, environment)
    if found is None:
        return None
    place, text = found
    secret = text.partition("\n")[0].removesuffix("\r")
    if not secret:
        raise ConfigError(f"{place}: empty. Write the {noun} on its first line")
    if "\0" in secret:
        raise ConfigError(f"{place}: the first line contains a NUL. Save it as UTF-8")
    if len(secret.encode()) > MQTT_BYTES:
        raise ConfigError(f"{place}: the first line is longer than MQTT allows. Write the {noun} there")
    return secret


def _read_text(key: str, path: Path | None, credential: Path, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the key with its path, and the text, of a file, else of a systemd credential; None if neither is there."""
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
    return f"{key} {path}", text


def _credential(original: Path, environment: Mapping[str, str]) -> Path:
    """Return the credential's path: systemd's copy for the service, else the original, for `sudo earshot check`."""
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        return Path(folder) / original.name.removeprefix("earshot.")
    return original
