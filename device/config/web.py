"""Settings of the page, `earshot web`."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from device.config.base import Section
from device.config.hosts import is_address, is_web_address

_LOOPBACK_NAME = "localhost"


class WebConfig(Section):
    """Page in the browser, `earshot web`: the history, the clips and the state of this device (docs/web.md)."""

    host: str = "127.0.0.1"
    """Address at which the page listens; 0.0.0.0 or "::" is every address. One beyond this machine needs a token."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8470
    """TCP port of the page."""
    hosts: tuple[str, ...] = ()
    """Names under which browsers reach the page, also through a reverse proxy, as in [earshot.local]. With any of them,
    the page counts as reachable from beyond this machine. Addresses need no entry."""
    token_file: Path | None = None
    """File with the token on its first line, at least 16 characters; a relative path starts at the folder of the config
    file. It is needed for every change, and for reading from beyond this machine. null:
    /etc/credstore/earshot.web_token if it exists."""
    language: Literal["auto", "en", "de"] = "auto"
    """Language of the page: en, de, or auto, which follows the browser."""

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value == _LOOPBACK_NAME:
            return "127.0.0.1"
        if not is_address(value):
            raise ValueError("must be an address of this machine, as in 127.0.0.1 or 0.0.0.0")
        return value

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name or not name.isprintable() or set(name) & set(" /:@?#*"):
                raise ValueError("must be names of hosts alone, as in [earshot.local], without scheme and port")
        return tuple(name.lower() for name in value)

    @property
    def url(self) -> str | None:
        """Address of the page for browsers on other machines; None if they cannot reach it, or it has no known name."""
        address = ipaddress.ip_address(self.host)
        if not self.hosts and (address.is_loopback or address.is_unspecified or address.is_link_local):
            return None
        host = self.hosts[0] if self.hosts else f"[{address}]" if address.version == 6 else str(address)
        url = f"http://{host}:{self.port}/"
        return url if is_web_address(url) else None

    @property
    def is_beyond_loopback(self) -> bool:
        """True if the page can be reached from beyond this machine."""
        return bool(self.hosts) or not ipaddress.ip_address(self.host).is_loopback
