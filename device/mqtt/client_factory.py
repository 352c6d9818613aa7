"""A paho client as the settings want it: protocol, transport, user, encryption."""

import socket
import ssl
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from device.config.models import MqttConfig, TlsConfig
from device.errors import ConfigError

_SESSION_SECONDS: Final = 86400
"""How long the broker keeps what is addressed to us while we are away."""
_RECEIVE_BYTES: Final = 32 * 1024
"""What may wait in the network's buffer."""
LARGEST_PACKET: Final = 256 * 1024
"""Bytes of a message to us that a broker may send (MQTT 5): we are sent commands, not films."""


def make_client(config: MqttConfig, password: str | None, client_id: str, protocol: MQTTProtocolVersion) -> paho.Client:
    """Make a client that is not connected yet.

    Args:
        config: transport, user and encryption.
        password: for `config.username`; None for none.
        client_id: names the session at the broker; with an empty one the session ends with the connection.
        protocol: MQTT 5 or 3.1.1.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    clean_session = None if protocol == MQTTProtocolVersion.MQTTv5 else not client_id
    client = _Client(
        CallbackAPIVersion.VERSION2, client_id, clean_session, protocol=protocol, transport=config.transport
    )
    if config.transport == "websockets":
        client.ws_set_options(config.websocket_path)
    else:
        client.on_socket_open = _wait_little
    if config.username is not None:
        client.username_pw_set(config.username, password)
    if config.tls.enabled:
        client.tls_set_context(_tls_context(config.tls))
    return client


def connect(client: paho.Client, config: MqttConfig, protocol: MQTTProtocolVersion) -> None:
    """Connect to the broker, taking up the session that it kept for us.

    Raises:
        OSError: it cannot be reached, or is not who it should be.
    """
    if protocol != MQTTProtocolVersion.MQTTv5:
        client.connect(config.host, config.port, config.keepalive_seconds)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types there
    properties.SessionExpiryInterval = _SESSION_SECONDS
    properties.MaximumPacketSize = LARGEST_PACKET
    client.connect(config.host, config.port, config.keepalive_seconds, clean_start=False, properties=properties)


class _Client(paho.Client):
    """paho binds each of its sockets to port 0, which means nothing; but the service may bind none at all."""

    def _create_socket_connection(self) -> socket.socket:
        return socket.create_connection((self._host, self._port), timeout=self._connect_timeout)


def _wait_little(_client: paho.Client, _data: Any, network: Any) -> None:
    """Have a flood wait, and be dropped, at the broker: confirmations of our events come behind what waits here."""
    network.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.tls.ca_file {tls.ca_file}: no certificates in PEM form there ({error})") from error
    context.check_hostname = tls.check_hostname
    if tls.certificate_file is not None:
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls.certificate_file {tls.certificate_file}: no certificate with its key in PEM form there, "
                f"or in key_file ({error})"
            ) from error
    return context
