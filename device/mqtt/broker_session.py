"""Broker session: a short connection whose messages and subscriptions are answered one at a time, for commands."""

import threading
import time
from collections.abc import Callable
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.connection import Connection
from device.mqtt.connection_errors import NO_ANSWER
from device.mqtt.delivery_faults import describe_oversize, describe_topic_refusal, describe_unanswered

_CONNECT_SECONDS = 15.0
"""Time for a connection, with MQTT 5 and then 3.1.1."""
_ANSWER_SECONDS = 5.0
_QUIET_SECONDS = 0.3
"""Time without a message after which the retained ones have arrived."""


class BrokerSession:
    """Connection with the daemon's own code, under a client id of the broker's choice; a context manager.

    If the broker ends the connection, the next call waits for another one.

    Args:
        config: the broker.
        password: for `config.username`; None for none.

    Attributes:
        limits: of the broker, from the last connection.
        messages: received messages, in their order.
    """

    def __init__(self, config: MqttConfig, password: str | None) -> None:
        self.limits = BrokerLimits()
        self.messages: list[paho.MQTTMessage] = []
        self._broker = f"broker {config.host}:{config.port}"
        self._changed = threading.Condition()
        self._client: paho.Client | None = None
        self._fault = ""
        self._answers: dict[int, ReasonCode] = {}
        self._received_at = 0.0
        self._connection = Connection(config, password, "", None, self)

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            UnavailableError: the broker does not answer, or refuses the connection.
        """
        self._connection.__enter__()
        self._wait(lambda: self._client is not None or bool(self._fault), _CONNECT_SECONDS)
        if self._client is None:
            self.__exit__()
            raise UnavailableError(self._fault or f"{self._broker} {NO_ANSWER}")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__()

    def subscribe(self, topic_filter: str) -> str:
        """Subscribe, and return the fault with its cure; empty if the broker accepts the subscription."""
        client = self._connected()
        _, mid = client.subscribe(topic_filter, qos=1)
        if (reason := self._answer(client, mid)) is None:
            return self._explain_silence(f"the subscription to {topic_filter}")
        return describe_topic_refusal("the subscription to", topic_filter, reason) if reason.is_failure else ""

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> str:
        """Publish a message, and return the fault with its cure; empty if the broker has acknowledged the message."""
        client = self._connected()
        if not self.limits.fits(topic, payload):
            return describe_oversize(topic, self.limits.packet_bytes, is_left_out=True)
        qos = min(1, self.limits.qos)
        mid = client.publish(topic, payload, qos=qos, retain=retain and self.limits.retain).mid
        if (reason := self._answer(client, mid)) is None:
            return self._explain_silence(f"messages on {topic}")
        return describe_topic_refusal("messages on", topic, reason) if reason.is_failure else ""

    def wait_for_quiet(self, timeout: float) -> None:
        """Wait until no more messages arrive, at most `timeout` seconds."""
        started = time.monotonic()
        with self._changed:
            self._received_at = started
            while (
                quiet := time.monotonic() - self._received_at
            ) < _QUIET_SECONDS and time.monotonic() - started < timeout:
                self._changed.wait(_QUIET_SECONDS - quiet)

    def wait_for_message(self, topic: str, timeout: float, since: int) -> bool:
        """Wait until a message of this topic arrives.

        Args:
            topic: exact topic.
            timeout: s.
            since: length of `messages` before.
        """
        return self._wait(lambda: any(each.topic == topic for each in self.messages[since:]), timeout)

    # Callbacks of the connection, called on its thread: see `ConnectionObserver`.

    def on_connect(self, client: paho.Client, limits: BrokerLimits) -> None:
        """See `ConnectionObserver`."""
        with self._changed:
            self._client, self.limits = client, limits
            self._changed.notify_all()

    def on_disconnect(self, client: paho.Client, *, by_message: bool) -> None:
        """See `ConnectionObserver`."""
        with self._changed:
            self._client = None
            self._changed.notify_all()

    def on_fault(self, fault: str, seconds: float) -> None:
        """See `ConnectionObserver`."""
        with self._changed:
            self._fault = f"{self._broker} {fault}"
            self._changed.notify_all()

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""
        with self._changed:
            self._answers[mid] = reason
            self._changed.notify_all()

    def on_subscribe(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""
        self.on_acknowledge(client, mid, reason)

    def on_message(self, message: paho.MQTTMessage) -> None:
        """See `ConnectionObserver`."""
        with self._changed:
            self.messages.append(message)
            self._received_at = time.monotonic()
            self._changed.notify_all()

    def _connected(self) -> paho.Client:
        """Return the client of the connection, or of the next one if the broker has ended it.

        Raises:
            UnavailableError: no connection.
        """
        self._wait(lambda: self._client is not None, _CONNECT_SECONDS)
        if self._client is None:
            raise UnavailableError(self._fault or f"{self._broker} {NO_ANSWER}")
        self._fault = ""
        return self._client

    def _answer(self, client: paho.Client, mid: int | None) -> ReasonCode | None:
        """Return the broker's answer to a message or subscription; None without one."""
        if mid is None:
            return None
        self._wait(lambda: mid in self._answers or self._client is not client, _ANSWER_SECONDS)
        return self._answers.pop(mid, None)

    def _explain_silence(self, what: str) -> str:
        """Return the fault of a missing answer: the end of the connection, or a broker that stays silent."""
        if self._client is None:
            self._wait(lambda: bool(self._fault), _QUIET_SECONDS)
        fault, self._fault = self._fault, ""
        return f"{fault}, after {what}" if fault else describe_unanswered(what)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout)
