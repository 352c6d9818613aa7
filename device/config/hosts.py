"""Host names, and addresses of machines and pages: their form, and the cure for a broker's URL in place of its name."""

import ipaddress
import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"(?:(?P<scheme>[A-Za-z+]+)://)?(?:.*@)?(?P<host>\[[^\]]*\]|[^:/\[\]]*)(?P<rest>.*)", re.DOTALL)
_PORT = re.compile(r":(\d+)(?=/|$)")
_TLS_SCHEMES = {"mqtts", "ssl", "tls", "wss", "https"}
_WEBSOCKET_SCHEMES = {"ws", "wss", "http", "https"}


def host_cure(value: str) -> str | None:
    """Return the keys to set in place of a URL or `host:port`; None for a value that is a name or an address."""
    if not re.search(r"[:/@\[\]\s?#]", value) or is_address(value):
        return None
    match = _ADDRESS.fullmatch(value.strip())
    assert match is not None  # each of its parts may be empty
    scheme, host, rest = (match["scheme"] or "").lower(), match["host"].strip("[]"), match["rest"]
    if not host or not host.isprintable() or " " in host:
        return "It has no spaces, and no part of a URL"
    settings = [f"mqtt.host: {host}"]
    if port := _PORT.match(rest):
        settings.append(f"mqtt.port: {port[1]}")
    if scheme in _TLS_SCHEMES:
        settings.append("mqtt.tls.enabled: true")
    if scheme in _WEBSOCKET_SCHEMES:
        settings.append("mqtt.transport: websockets")
        path = rest[port.end() :] if port else rest
        if re.fullmatch(r"/[!-~]+", path):
            settings.append(f"mqtt.websocket_path: {path}")
    return f"Set {', '.join(settings)}"


def is_address(value: str) -> bool:
    """Return True for an IPv4 or IPv6 address, without a port."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_web_address(value: str) -> bool:
    """Return True for the address of a page, with http or https and a host."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - its property raises the error
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and value.isprintable() and " " not in value
