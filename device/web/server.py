"""Server of the page: the socket, and uvicorn on it until a signal."""

import logging
import socket

import uvicorn

from device.config.models import Config
from device.config.paths import readable_state
from device.config.secrets import read_password, read_token
from device.errors import ConfigError, UnavailableError
from device.web.app import Page
from device.web.connection import Connection, RequestLimit
from device.web.node_feed import NodeFeed

_LOGGER = logging.getLogger(__name__)

_LEAVE_SECONDS = 2
"""Time for open connections at the end, s. A browser that watches live values never ends its own."""


def serve(config: Config) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Raises:
        ConfigError: the page can be reached from beyond this machine, and has no token.
        UnavailableError: the address is not free, or not one of this machine.
    """
    token = read_token(config.web)
    if config.web.is_beyond_loopback and config.web.trusted_proxy is None and token is None:
        raise ConfigError(
            "web: the page can be reached from beyond this machine (web.host, web.hosts) and has no token. Set "
            "web.token_file, or web.host to 127.0.0.1 and web.hosts to []"
        )
    with (
        _listen(config.web.host, config.web.port) as listener,
        NodeFeed(config.mqtt, read_password(config.mqtt), config.node) as feed,
    ):
        page = Page(config, token, readable_state(), feed)
        options = uvicorn.Config(
            RequestLimit(page.application()),
            http=Connection,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_LEAVE_SECONDS,
        )
        _LOGGER.info("page of node %s at %s", config.node, _address(config.web.host, config.web.port))
        uvicorn.Server(options).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    is_version_6 = ":" in host
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_version_6 else socket.AF_INET,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise UnavailableError(
            f"{_address(host, port)} cannot be used ({error.strerror or error}). Set web.host and web.port, or --port"
        ) from error


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
