"""Support report: a ZIP file with all that the report of a problem needs, without passwords and other secrets."""

import contextlib
import importlib.metadata
import json
import platform
import re
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from device.cli.check_result import CheckResult
from device.config.models import Config
from device.config.paths import state_directory
from device.config.secrets import read_password, read_services, read_stream_url, read_token
from device.errors import ConfigError, UnavailableError
from device.monitoring.system_metrics import machine_model, memory_mb, temperature_celsius, throttling, versions

_LOG_COMMAND = ("journalctl", "--unit", "earshot*", "--lines", "500", "--no-pager", "--output", "short-iso")
_LOG_SECONDS = 20.0
_HIDDEN = "(hidden)"
_SECRET = re.compile(
    r"(?i)([\w.]*(?:pass(?!word_file)\w*|secret|token|credential)\w*[\"']?\s*[=:]\s*)[\"']?[^\s\"',}]+"
)
"""Secrets in foreign text: a value after a name such as `password`."""
_LOGIN = re.compile(r"(//)[^/\s@]+@")
"""User and password in a URL."""


def write_report(path: Path, config: Config | None, results: Sequence[CheckResult], health: bytes | None) -> None:
    """Write the report.

    Args:
        path: the ZIP file; an existing one is replaced.
        config: the settings; None if they have faults.
        results: results of all checks.
        health: last health message; None without one.

    Raises:
        UnavailableError: the file cannot be written.
    """
    contents: dict[str, Any] = {
        "check.json": [asdict(result) for result in results],
        "config.json": "the config has faults: see check.json" if config is None else _settings(config),
        "versions.json": _versions(),
        "machine.json": _machine(),
        "outbox.json": _outbox(state_directory() / "outbox.sqlite"),
        "health.json": _parsed(health),
        "log.txt": _log(),
    }
    secrets = sorted(set(_secrets(config)), key=len, reverse=True)
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                hidden = _hide_all(content, secrets)
                text = hidden if isinstance(hidden, str) else json.dumps(hidden, ensure_ascii=False, indent=2)
                archive.writestr(name, text)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror}). Choose another file") from error


def hide(text: str, secrets: Sequence[str]) -> str:
    """Replace secrets in a text, and what looks like one.

    Args:
        text: any text.
        secrets: known secrets, the longest first.
    """
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return _LOGIN.sub(rf"\1{_HIDDEN}@", _SECRET.sub(rf"\1{_HIDDEN}", text))


def _hide_all(content: Any, secrets: Sequence[str]) -> Any:
    """Return a text, or the content of a JSON file, with hidden secrets in all its texts."""
    if isinstance(content, dict):
        return {key: _hide_all(value, secrets) for key, value in content.items()}
    if isinstance(content, list):
        return [_hide_all(value, secrets) for value in content]
    return hide(content, secrets) if isinstance(content, str) else content


def _parsed(health: bytes | None) -> Any:
    """Return the content of the health message; the text of one that is not JSON."""
    if health is None:
        return "no health message was received"
    try:
        return json.loads(health)
    except (ValueError, RecursionError):  # nested thousands of levels deep
        return health.decode(errors="replace")


def _secrets(config: Config | None) -> Iterator[str]:
    """Yield each secret in the forms in which texts may contain it, and what was set in place of its file."""
    if config is None:
        return
    readers: tuple[tuple[Path | None, Callable[[], Iterable[str | None]]], ...] = (
        (config.mqtt.password_file, lambda: [read_password(config.mqtt)]),
        (config.web.token_file, lambda: [read_token(config.web)]),
        (config.audio.url_file, lambda: [read_stream_url(config.audio)]),
        (config.notify.services_file, lambda: [each.url for each in read_services(config.notify)]),
    )
    for file, read in readers:
        if file is not None and not file.is_file():  # perhaps the secret itself was set
            yield from (str(file), file.name)
        with contextlib.suppress(ConfigError):
            for secret in filter(None, read()):
                yield from (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
                yield from (quote(secret), repr(secret)[1:-1])


def _settings(config: Config) -> dict[str, Any]:
    """Return the settings in effect, without the user name."""
    content = config.model_dump(mode="json")
    if content["mqtt"]["username"] is not None:
        content["mqtt"]["username"] = _HIDDEN
    return content


def _versions() -> dict[str, str]:
    """Return the versions of Earshot, Python, the system and all installed packages."""
    packages = {each.name: each.version for each in importlib.metadata.distributions()}
    return {**versions(), "kernel": platform.release(), "machine": platform.machine(), **dict(sorted(packages.items()))}


def _machine() -> dict[str, Any]:
    throttled = throttling()
    return {
        "model": machine_model(),
        "temperature_celsius": temperature_celsius(),
        "throttling": throttled and asdict(throttled),
        "memory_mb_of_this_command": memory_mb(),
    }


def _outbox(path: Path) -> dict[str, Any]:
    """Return size and totals of the outbox, without waiting for a daemon that uses it."""
    files = {each.name: each.stat().st_size for each in sorted(path.parent.glob(f"{path.name}*")) if each.is_file()}
    content: dict[str, Any] = {"bytes": files}
    if path.is_file():
        try:
            # Immutable: no lock is taken, and the newest messages of a running daemon are not counted.
            database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
            try:
                last, waiting, size = database.execute("SELECT last, waiting, bytes FROM totals").fetchone()
            finally:
                database.close()
            content |= {"last_sequence": last, "waiting": waiting, "message_bytes": size}
        except sqlite3.Error as error:
            content["fault"] = str(error)
    return content


def _log() -> str:
    """Return the last lines of the service's log; the reason without one."""
    if shutil.which(_LOG_COMMAND[0]) is None:
        return "no journal on this machine"
    try:
        done = subprocess.run(_LOG_COMMAND, capture_output=True, text=True, timeout=_LOG_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the journal cannot be read ({error})"
    return done.stdout or done.stderr
