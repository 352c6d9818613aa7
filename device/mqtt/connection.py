"""Connection to the broker, on a thread of its own, with endless reconnection."""

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
from device.errors import ConfigError
from device.mqtt.client_factory import connect, make_client
from device.mqtt.connection_errors import NO_ANSWER, describe_connect_error, describe_disconnect, describe_refusal
from device.util.log_throttle import LogThrottle
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0
_STABLE_SECONDS = 60.0
"""Duration after which a connection counts as stable, so that the next fault is logged again."""
_LOOP_SECONDS = 1.0
_LEAVE_SECONDS = 3.0
_PROTOCOLS = {MQTTProtocolVersion.MQTTv5: 2.0, MQTTProtocolVersion.MQTTv311: 10.0}
"""Protocol versions in the order of attempts, with the time for the broker's answer, s. A broker without MQTT 5 may not
answer at all, so 3.1.1, which every broker supports, is tried soon."""
_DISCONNECTED = "disconnected"
_NOT_MQTT = (ValueError, LookupError, struct.error, MQTTException)
"""Exceptions that paho raises when it receives data that is not MQTT."""


class ConnectionObserver(Protocol):
    """Callbacks of a connection, called on its thread. They must return at once."""

    def on_connect(self, client: paho.Client, in_flight: int) -> None:
        """Handle a connection that the broker accepted. At most `in_flight` messages may be in flight."""

    def on_disconnect(self, client: paho.Client) -> None:
        """Handle the end of a connection. Messages in flight must be sent again with the next client."""

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """Handle the acknowledgement, or the refusal, of the message with this id."""

    def on_message(self, message: paho.MQTTMessage) -> None:
        """Handle a message of a subscribed topic."""


class Connection:
    """Persistent connection to the broker; a context manager.

    Each connection has a new paho client, so paho queues no message for another attempt: the outbox is the only queue.
    The broker keeps the session, which is named by the client id.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        client_id: names the session.
        will: topic and payload that the broker publishes, retained, when the connection is lost.
        observer: receives connections, acknowledgements and messages.
    """

    def __init__(
        self,
        config: MqttConfig,
        password: str | None,
        client_id: str,
        will: tuple[str, bytes],
        observer: ConnectionObserver,
    ) -> None:
        self._config = config
        self._password = password
        self._client_id = client_id
        self._will = will
        self._observer = observer
        self._stopping = threading.Event()
        self._log_throttle = LogThrottle()
        self._client = self._make_client(next(iter(_PROTOCOLS)))  # reports an invalid certificate at once
        self._fault = ""
        self._answered = False
        self._thread = SupervisedThread("mqtt", self._work)

    def __enter__(self) -> Self:
        """Start connecting; never waits for the broker."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect; the broker does not publish the will."""
        self._stopping.set()
        # A name server or a broker that does not answer may take longer.
        self._thread.stop(self._client.disconnect, _LEAVE_SECONDS)

    def _work(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while not self._stopping.is_set():
            seconds = self._connect_once()
            if seconds > pause:
                pause = _FIRST_RETRY_SECONDS
            if seconds > _STABLE_SECONDS:
                self._log_throttle.reset()
            if not self._stopping.is_set():
                self._log_fault()
            # Jitter: clients of a restarted broker do not all connect in the same instant.
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LAST_RETRY_SECONDS)

    def _connect_once(self) -> float:
        """Connect and process the connection until it ends; return its duration, s.

        A broker of MQTT 3.1.1 may answer MQTT 5 in any way, or not at all. Then 3.1.1 is tried.
        """
        for protocol, answer_seconds in _PROTOCOLS.items():
            self._answered, self._fault = False, NO_ANSWER
            try:
                self._client = self._make_client(protocol)
                connect(self._client, self._config, protocol)
            except ConfigError as error:  # a certificate was replaced meanwhile, and may come back
                self._fault = f"cannot be used: {error}"
                return 0.0
            except OSError as error:
                self._fault = describe_connect_error(error)
                return 0.0
            started = time.monotonic()
            try:
                self._loop(self._client, answer_seconds)
            except _NOT_MQTT as error:
                self._fault = f"sends data that is not MQTT ({error}). Check mqtt.port"
            finally:
                self._observer.on_disconnect(self._client)
            if self._answered or self._stopping.is_set():
                return time.monotonic() - started
        return 0.0

    def _loop(self, client: paho.Client, answer_seconds: float) -> None:
        """Process network traffic until the connection ends, the broker fails to answer in time, or `__exit__`."""
        started = time.monotonic()
        while client.loop(_LOOP_SECONDS) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if not self._answered and time.monotonic() - started > answer_seconds:
                return
            if self._stopping.is_set():
                client.disconnect()

    def _make_client(self, protocol: MQTTProtocolVersion) -> paho.Client:
        client = make_client(self._config, self._password, self._client_id, protocol)
        client.will_set(self._will[0], self._will[1], qos=1, retain=True)
        # paho makes its wake-up sockets by listening on a TCP port for a moment, which the service may not.
        client._sockpairR, client._sockpairW = _wake_pair()
        # A thread that publishes must not write to the network: with this callback, paho leaves writes to the loop.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = lambda _client, _data, message: self._observer.on_message(message)
        return client

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._answered = reason.getName() != "Unsupported protocol version"
            self._fault = describe_refusal(reason)
            return
        self._answered, self._fault = True, _DISCONNECTED
        _LOGGER.info("connected to the broker %s:%d", self._config.host, self._config.port)
        # The broker's limit, if it has one (MQTT 5).
        receive_maximum = getattr(properties, "ReceiveMaximum", self._config.in_flight)
        self._observer.on_connect(client, min(self._config.in_flight, receive_maximum))

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._fault == _DISCONNECTED:
            self._fault = describe_disconnect(reason)

    def _on_publish(self, client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._observer.on_acknowledge(client, mid, reason)

    def _log_fault(self) -> None:
        self._log_throttle.warning(
            f"broker {self._config.host}:{self._config.port} {self._fault}. Meanwhile, events are kept in the outbox"
        )


def _wake_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair
