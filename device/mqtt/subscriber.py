"""Subscriber to the event messages of all nodes, for `earshot events`."""

import json
import queue
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.client_factory import connect, make_client
from device.mqtt.connection_errors import NO_ANSWER, describe_connect_error, describe_refusal
from device.util.supervised_thread import SupervisedThread

_FILTERS = ("earshot/+/event", "earshot/+/event/backlog")
_CONNECT_SECONDS = 10.0
_LEAVE_SECONDS = 3.0
_PROTOCOL = MQTTProtocolVersion.MQTTv311
"""MQTT 3.1.1, which every broker supports."""


class Subscriber:
    """Iterable over event messages as they arrive, live and late; a context manager.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
    """

    def __init__(self, config: MqttConfig, password: str | None) -> None:
        self._config = config
        self._arrived: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._subscribed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._client = make_client(config, password, "", _PROTOCOL)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._thread = SupervisedThread("mqtt", self._client.loop_forever)  # paho's own ends at the first exception

    def __enter__(self) -> Self:
        """Connect and subscribe; wait until the broker has acknowledged the subscription.

        Raises:
            UnavailableError: the broker does not answer, or refuses the connection.
        """
        broker = f"broker {self._config.host}:{self._config.port}"
        try:
            connect(self._client, self._config, _PROTOCOL)
        except OSError as error:
            raise UnavailableError(f"{broker} {describe_connect_error(error)}") from error
        self._thread.start()
        try:
            fault = self._subscribed.get(timeout=_CONNECT_SECONDS)
        except queue.Empty:
            fault = NO_ANSWER
        if fault:
            self.__exit__()
            raise UnavailableError(f"{broker} {fault}")
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop(self._client.disconnect, _LEAVE_SECONDS)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each message until `close`. A payload that is no JSON object is ignored."""
        while (message := self._arrived.get()) is not None:
            yield message

    def close(self) -> None:
        """End the iteration after the messages that have arrived; any thread."""
        self._arrived.put(None)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._subscribed.put(describe_refusal(reason))
        else:
            client.subscribe([(topic, 1) for topic in _FILTERS])

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.put("")

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            content = json.loads(message.payload)
        except ValueError:
            return
        if isinstance(content, dict):
            self._arrived.put(content)


def format_message(message: dict[str, Any]) -> str:
    """Format an event message as one line: local time, start or end, label, confidence, node.

    Args:
        message: any JSON object; missing fields are allowed.
    """
    ended = message.get("type") == "end"
    when = _local_time(message.get("end_time" if ended else "start_time"))
    confidence, duration = message.get("confidence"), message.get("duration_seconds")
    line = f"{when}  {'end  ' if ended else 'start'}  {message.get('label', '?')!s:<16}"
    if isinstance(confidence, int | float):
        line += f"  {confidence:4.0%}"
    if isinstance(duration, int | float):
        line += f"  after {duration:.1f} s"
    return f"{line}  ({message.get('node_id', '?')}{', late' if message.get('replayed') else ''})"


def _local_time(rfc3339: object) -> str:
    try:
        return datetime.fromisoformat(str(rfc3339)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"
