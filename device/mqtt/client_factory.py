"""Client factory: paho clients with the configured protocol, transport, user and encryption."""

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
"""Time for which the broker keeps the session of a client that is not connected (MQTT 5)."""
_RECEIVE_BYTES: Final = 32 * 1024
"""Size of the socket's receive buffer."""
LARGEST_PACKET: Final = 256 * 1024
"""Largest packet that the broker may send, in bytes (MQTT 5). Commands are much smaller."""


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
    client.max_inflight_messages_set(0)  # no limit here: otherwise paho has a queue of its own behind the outbox
    if config.transport == "websockets":
        client.ws_set_options(config.websocket_path)
    else:
        client.on_socket_open = _limit_receive_buffer
    if config.username is not None:
        client.username_pw_set(config.username, password)
    if config.tls.enabled:
        client.tls_set_context(_tls_context(config.tls))
    return client


def connect(client: paho.Client, config: MqttConfig, protocol: MQTTProtocolVersion, *, keep_session: bool) -> None:
    """Connect to the broker.

    Args:
        client: a new client.
        config: address and keep-alive interval.
        protocol: MQTT 5 or 3.1.1.
        keep_session: resume the session that the broker kept, and let it keep the session after the connection.

    Raises:
        OSError: the broker cannot be reached, offers no WebSocket, or has a certificate that is not valid.
    """
    options: dict[str, Any] = {}
    if protocol == MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types there
        properties.MaximumPacketSize = LARGEST_PACKET
        if keep_session:
            properties.SessionExpiryInterval = _SESSION_SECONDS
        options = {"clean_start": not keep_session, "properties": properties}
    try:
        client.connect(config.host, config.port, config.keepalive_seconds, **options)
    except ssl.CertificateError:  # also a ValueError
        raise
    except (ValueError, LookupError) as error:  # paho, when it parses the answer to a WebSocket handshake
        raise paho.WebsocketConnectionError(str(error)) from error


class _Client(paho.Client):
    """Client that binds no port. paho binds each socket to port 0, without effect; the service may not bind at all."""

    def _create_socket_connection(self) -> socket.socket:
        return socket.create_connection((self._host, self._port), timeout=self._connect_timeout)


def _limit_receive_buffer(_client: paho.Client, _data: Any, network: Any) -> None:
    """Limit the receive buffer, because acknowledgements wait behind the messages in it.

    A flood of messages then waits at the broker, which drops the excess.
    """
    network.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)


class _EncryptedKeyError(Exception):
    """Error for a key that needs a passphrase."""


def _refuse_passphrase() -> str:
    """Raise an error. Without this function, OpenSSL asks for the passphrase on the terminal."""
    raise _EncryptedKeyError


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"mqtt.tls.ca_file {tls.ca_file}: no certificates in PEM format there ({error}). Set it to the certificate "
            "of the broker's authority"
        ) from error
    context.check_hostname = tls.check_hostname
    if tls.certificate_file is not None:
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file, password=_refuse_passphrase)
        except _EncryptedKeyError as error:
            key = f"key_file {tls.key_file}" if tls.key_file else f"certificate_file {tls.certificate_file}"
            raise ConfigError(
                f"mqtt.tls.{key}: the key is encrypted, and a service can type no passphrase. Decrypt it with "
                "`openssl pkey -in OLD -out NEW`, and make the new file readable to the service alone"
            ) from error
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls.certificate_file {tls.certificate_file}: no certificate with its key in PEM format there "
                f"({error}). Check it and mqtt.tls.key_file"
            ) from error
    return context
