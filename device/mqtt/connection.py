"""The connection to the broker: made, watched, and made again, for ever, on a thread of its own."""

import logging
import random
import socket
import struct
import threading
import time
from typing import Any, Protocol, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import MQTTException, Properties  # type: ignore[attr-defined]  # moved in paho 2.2
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.mqtt.client_factory import connect, make_client
from device.mqtt.connection_errors import NO_ANSWER, explain_connect_error, explain_disconnect, explain_refusal
from device.util.log_throttle import LogThrottle

_LOGGER = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A connection that stood so long was a good one: what ends it is news."""
_LOOP_SECONDS = 1.0
_LEAVE_SECONDS = 3.0
_PROTOCOLS = {MQTTProtocolVersion.MQTTv5: 2.0, MQTTProtocolVersion.MQTTv311: 10.0}
"""What we try to speak, in this order, and how long the broker may take to accept or refuse us, s. One that has never
heard of MQTT 5 may leave us waiting: then the older one is asked soon, which all understand."""
_GONE = "is gone"
_NOT_MQTT = (ValueError, LookupError, struct.error, MQTTException)
"""What paho raises when the other end talks nonsense."""


class ConnectionListener(Protocol):
    """Whoever uses the connection. All of it is called on the connection's thread and must return at once."""

    def connected(self, client: paho.Client, in_flight: int) -> None:
        """The broker has accepted us, and wants at most so many messages unconfirmed at a time."""

    def disconnected(self, client: paho.Client) -> None:
        """Nothing that was not confirmed will be: say it again over the next client."""

    def acknowledged(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """The broker has taken the message of this number, or refuses it."""

    def received(self, message: paho.MQTTMessage) -> None:
        """Somebody has sent us something."""


class Connection:
    """Keeps a connection to the broker; a context manager.

    Each connection is a new paho client, so nothing waits in paho to be sent again: what is not confirmed goes
    back to our outbox, the only queue. The broker keeps our session, as it knows us by our client id.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        client_id: names our session.
        will: topic and payload that the broker shall publish, retained, when we are gone.
        peer: whoever uses the connection.
    """

    def __init__(
        self,
        config: MqttConfig,
        password: str | None,
        client_id: str,
        will: tuple[str, bytes],
        peer: ConnectionListener,
    ) -> None:
        self._config = config
        self._password = password
        self._client_id = client_id
        self._will = will
        self._peer = peer
        self._stopping = threading.Event()
        self._log_throttle = LogThrottle()
        self._client = self._make_client(next(iter(_PROTOCOLS)))  # a certificate that cannot be used is told now
        self._trouble = ""
        self._answered = False
        self._thread = threading.Thread(target=self._keep, name="mqtt", daemon=True)

    def __enter__(self) -> Self:
        """Start connecting; never waits for the broker."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave; the broker does not publish our will."""
        self._stopping.set()
        self._client.disconnect()
        self._thread.join(_LEAVE_SECONDS)  # longer only where a name server or a broker does not answer

    def _keep(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while not self._stopping.is_set():
            stood = self._connect_once()
            if stood > pause:
                pause = _FIRST_RETRY_SECONDS
            if stood > _STEADY_SECONDS:
                self._log_throttle.reset()
            if not self._stopping.is_set():
                self._complain(self._trouble)
            # Jitter: a broker that comes back is not met by all its clients in the same instant.
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LAST_RETRY_SECONDS)

    def _connect_once(self) -> float:
        """Connect and stay as long as it lasts; gives for how many seconds that was.

        A broker of MQTT 3.1.1 may answer MQTT 5 in any way, or not at all: then it is asked again in 3.1.1.
        """
        for protocol, patience in _PROTOCOLS.items():
            self._answered, self._trouble = False, NO_ANSWER
            self._client = self._make_client(protocol)
            try:
                connect(self._client, self._config, protocol)
            except OSError as error:
                self._trouble = explain_connect_error(error)
                return 0.0
            started = time.monotonic()
            try:
                self._loop(self._client, patience)
            except _NOT_MQTT as error:
                self._trouble = f"sends what is not MQTT ({error}). Check mqtt.port"
            self._peer.disconnected(self._client)
            if self._answered or self._stopping.is_set():
                return time.monotonic() - started
        return 0.0

    def _loop(self, client: paho.Client, patience: float) -> None:
        """Let paho talk until the connection ends, the broker does not answer, or we leave."""
        started = time.monotonic()
        while client.loop(_LOOP_SECONDS) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if not self._answered and time.monotonic() - started > patience:
                return
            if self._stopping.is_set():
                client.disconnect()

    def _make_client(self, protocol: MQTTProtocolVersion) -> paho.Client:
        client = make_client(self._config, self._password, self._client_id, protocol)
        client.will_set(self._will[0], self._will[1], qos=1, retain=True)
        # paho makes the pair that wakes its loop by listening on a TCP port for a moment, which the service may not.
        client._sockpairR, client._sockpairW = _wake_pair()
        # Whoever publishes must not write to the network as well: with this set, paho leaves it to our loop.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = lambda _client, _data, message: self._peer.received(message)
        return client

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._answered = reason.getName() != "Unsupported protocol version"
            self._trouble = explain_refusal(reason)
            return
        self._answered, self._trouble = True, _GONE
        _LOGGER.info("connected to the broker %s:%d", self._config.host, self._config.port)
        # The broker's limit where it has one (MQTT 5).
        receive_maximum = getattr(properties, "ReceiveMaximum", self._config.in_flight)
        self._peer.connected(client, min(self._config.in_flight, receive_maximum))

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._trouble == _GONE:
            self._trouble = explain_disconnect(reason)

    def _on_publish(self, client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._peer.acknowledged(client, mid, reason)

    def _complain(self, what: str) -> None:
        self._log_throttle.warning(
            f"broker {self._config.host}:{self._config.port} {what}. Events wait in the outbox meanwhile"
        )


def _wake_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair
