"""Connection to the broker, on a thread of its own, with endless reconnection."""

import random
import socket
import struct
import threading
import time
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import MQTTException, Properties  # type: ignore[attr-defined]  # moved in paho 2.2
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.errors import ConfigError
from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.client_factory import connect, make_client
from device.mqtt.connection_errors import (
    DISCONNECTED,
    NO_ANSWER,
    describe_connect_error,
    describe_disconnect,
    describe_early_ends,
    describe_refusal,
)
from device.mqtt.connection_observer import ConnectionObserver
from device.util.supervised_thread import SupervisedThread

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0
_LOOP_SECONDS = 1.0
_LEAVE_SECONDS = 3.0
_PROTOCOLS = {MQTTProtocolVersion.MQTTv5: 2.0, MQTTProtocolVersion.MQTTv311: 10.0}
"""Protocol versions in the order of attempts, with the time for the broker's answer, s. A broker without MQTT 5 may not
answer at all, so 3.1.1, which every broker supports, is tried soon."""
_NO_RETAIN, _NO_QOS = 0x9A, 0x9B
"""Reason codes of a CONNACK that refuses the will: a retained one, or one at QoS 1."""
_EARLY_SECONDS = _LAST_RETRY_SECONDS + 15.0
"""Duration below which a connection ended early. Two clients of one id end each other's within the longest pause."""
_EARLY_ENDS = 3
"""Early ends in succession from which they are a fault of their own."""
_OTHER_CAUSES = {0x00, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D, 0x9F, 0xA0}
"""Reason codes of a DISCONNECT that no message caused: ended by this client, server busy, shutting down, keep-alive,
session taken over, administrative action, another server, connection rate and time."""
_UNSPECIFIED = 0x80
_NOT_MQTT = (ValueError, LookupError, struct.error, MQTTException)
"""Exceptions that paho raises when it receives data that is not MQTT."""


class Connection:
    """Persistent connection to the broker; a context manager.

    Each connection has a new paho client, so paho queues no message for another attempt: the outbox is the only queue.
    The broker keeps the session, which is named by the client id.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        client_id: names the session; with an empty one the session ends with the connection.
        will: topic and payload that the broker publishes, retained, when the connection is lost; None for no will.
        observer: receives connections, acknowledgements and messages.
    """

    def __init__(
        self,
        config: MqttConfig,
        password: str | None,
        client_id: str,
        will: tuple[str, bytes] | None,
        observer: ConnectionObserver,
    ) -> None:
        self._config = config
        self._password = password
        self._client_id = client_id
        self._will = will
        self._will_qos, self._will_retain = 1, True
        self._observer = observer
        self._stopping = threading.Event()
        self._client = self._make_client(next(iter(_PROTOCOLS)))  # reports an invalid certificate at once
        self._fault = ""
        self._answered = self._accepted = self._will_refused = False
        self._end: ReasonCode | None = None
        self._early_ends = 0
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
            if not self._stopping.is_set():
                self._observer.on_fault(self._fault, seconds)
            # Jitter: clients of a restarted broker do not all connect in the same instant.
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LAST_RETRY_SECONDS)

    def _connect_once(self) -> float:
        """Connect and process the connection until it ends; return its duration, s.

        A broker of MQTT 3.1.1 may answer MQTT 5 in any way, or not at all. Then 3.1.1 is tried.
        """
        for protocol, answer_seconds in _PROTOCOLS.items():
            seconds = self._try_protocol(protocol, answer_seconds)
            while self._will_refused and not self._stopping.is_set():
                seconds = self._try_protocol(protocol, answer_seconds)
            if seconds is None or self._stopping.is_set():
                return 0.0
            if self._answered:
                self._diagnose_end(seconds)
                return seconds
        return 0.0

    def _try_protocol(self, protocol: MQTTProtocolVersion, answer_seconds: float) -> float | None:
        """Connect with one protocol version; return the connection's duration, s, or None without a broker."""
        self._answered = self._accepted = self._will_refused = False
        self._fault, self._end = NO_ANSWER, None
        try:
            self._client = self._make_client(protocol)
            connect(self._client, self._config, protocol, keep_session=bool(self._client_id))
        except ConfigError as error:  # a certificate was replaced meanwhile, and may come back
            self._fault = f"cannot be used: {error}"
            return None
        except OSError as error:
            self._fault = describe_connect_error(error)
            return None
        started = time.monotonic()
        try:
            self._loop(self._client, answer_seconds)
        except _NOT_MQTT as error:
            self._fault = f"sends data that is not MQTT ({error}). Check mqtt.port"
        finally:
            end = _UNSPECIFIED if self._end is None else self._end.value
            self._observer.on_disconnect(self._client, by_message=self._accepted and end not in _OTHER_CAUSES)
        return time.monotonic() - started

    def _diagnose_end(self, seconds: float) -> None:
        """Count connections that ended soon, with no reason and no message in flight."""
        is_unexplained = self._end is None or self._end.value == _UNSPECIFIED
        if not self._accepted or seconds > _EARLY_SECONDS or not is_unexplained or self._client._out_messages:
            self._early_ends = 0
            return
        self._early_ends += 1
        if self._early_ends >= _EARLY_ENDS:
            self._fault = describe_early_ends(_EARLY_ENDS, self._client_id)

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
        if self._will is not None:
            client.will_set(self._will[0], self._will[1], qos=self._will_qos, retain=self._will_retain)
        # paho makes its wake-up sockets by listening on a TCP port for a moment, which the service may not.
        client._sockpairR, client._sockpairW = _wake_pair()
        # A thread that publishes must not write to the network: with this callback, paho leaves writes to the loop.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: self._observer.on_message(message)
        return client

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._answered = reason.getName() != "Unsupported protocol version"
            self._fault = describe_refusal(reason)
            self._reduce_will(reason.value)
            return
        self._answered = self._accepted = True
        self._fault = DISCONNECTED
        can_refuse = client.protocol == MQTTProtocolVersion.MQTTv5
        limits = BrokerLimits.from_connack(properties, self._config.in_flight, can_refuse=can_refuse)
        self._observer.on_connect(client, limits)

    def _reduce_will(self, reason: int) -> None:
        """Prepare another attempt with a will that the broker's limits allow."""
        if reason == _NO_RETAIN and self._will_retain:
            self._will_retain, self._will_refused = False, True
        elif reason == _NO_QOS and self._will_qos:
            self._will_qos, self._will_refused = 0, True

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._fault == DISCONNECTED:
            self._fault, self._end = describe_disconnect(reason), reason

    def _on_publish(self, client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._observer.on_acknowledge(client, mid, reason)

    def _on_subscribe(
        self, client: paho.Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        self._observer.on_subscribe(client, mid, reasons[0])


def _wake_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair
