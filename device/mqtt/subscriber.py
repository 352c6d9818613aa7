"""Subscriber to messages of all nodes, for `earshot events` and `earshot notify`."""

import json
import math
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.connection import Connection
from device.mqtt.connection_errors import NO_ANSWER
from device.mqtt.delivery_faults import describe_topic_refusal
from device.util.local_time import local_of
from device.util.log_throttle import LogThrottle

EVENT_FILTERS = ("earshot/+/event", "earshot/+/event/backlog")
_CONNECT_SECONDS = 15.0
"""Time for the connection, with MQTT 5 and then 3.1.1, and for the subscriptions."""


@dataclass(frozen=True)
class Received:
    """Message that has arrived.

    Attributes:
        topic: its topic.
        payload: its payload, which may be anything.
        is_retained: True if it is older than the subscription.
    """

    topic: str
    payload: bytes
    is_retained: bool = False


class Subscriber:
    """Iterable over JSON messages as they arrive, such as events, live and late; a context manager.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        filters: topic filters to subscribe to.
        is_patient: False to require a broker that accepts the subscriptions at first; True for one that may be away.
    """

    def __init__(
        self,
        config: MqttConfig,
        password: str | None,
        filters: tuple[str, ...] = EVENT_FILTERS,
        *,
        is_patient: bool = False,
    ) -> None:
        self._broker = f"broker {config.host}:{config.port}"
        self._filters = filters
        self._arrived: queue.SimpleQueue[Received | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._asked: dict[int, str] = {}
        self._is_connected = False
        self._has_begun = is_patient
        self._log_throttle = LogThrottle()
        self._connection = Connection(config, password, "", None, self)

    def __enter__(self) -> Self:
        """Connect and subscribe; unless patient, wait until the broker has accepted all subscriptions.

        Raises:
            UnavailableError: the broker does not answer, or refuses the connection or a subscription.
        """
        self._connection.__enter__()
        if self._has_begun:
            return self
        deadline = time.monotonic() + _CONNECT_SECONDS
        for _ in self._filters:
            try:
                fault = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                fault = f"{self._broker} {NO_ANSWER}"
            if fault:
                self.__exit__()
                raise UnavailableError(fault)
        self._has_begun = True
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each message until `close`. A payload that is no JSON object, or an empty one, is ignored."""
        while (message := self._arrived.get()) is not None:
            if content := parse_message(message.payload):
                yield content

    @property
    def broker(self) -> str:
        """Name of the broker, as in `broker localhost:1883`."""
        return self._broker

    @property
    def is_connected(self) -> bool:
        """True while the broker is there."""
        return self._is_connected

    def receive(self, seconds: float) -> Received | None:
        """Return the next message of any kind; None after `seconds` without one, and once after `close`."""
        try:
            return self._arrived.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def close(self) -> None:
        """End the iteration after the messages that have arrived; any thread."""
        self._arrived.put(None)

    # Callbacks of the connection, called on its thread: see `ConnectionObserver`.

    def on_connect(self, client: paho.Client, limits: BrokerLimits) -> None:
        """See `ConnectionObserver`."""
        self._is_connected = True
        for topic_filter in self._filters:
            _, mid = client.subscribe(topic_filter, qos=1)
            if mid is not None:
                self._asked[mid] = topic_filter

    def on_disconnect(self, client: paho.Client, *, by_message: bool) -> None:
        """See `ConnectionObserver`."""
        self._is_connected = False

    def on_fault(self, fault: str, seconds: float) -> None:
        """See `ConnectionObserver`."""
        self._report(f"{self._broker} {fault}")

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""

    def on_subscribe(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""
        topic_filter = self._asked.pop(mid, "")
        self._report(describe_topic_refusal("the subscription to", topic_filter, reason) if reason.is_failure else "")

    def on_message(self, message: paho.MQTTMessage) -> None:
        """See `ConnectionObserver`."""
        self._arrived.put(Received(message.topic, bytes(message.payload), message.retain))

    def _report(self, fault: str) -> None:
        """Report an answer of the broker, empty for success: to `__enter__` at first, later to the log."""
        if not self._has_begun:
            self._answers.put(fault)
        elif fault:
            self._log_throttle.warning(fault)


def parse_message(payload: bytes) -> dict[str, Any]:
    """Return the JSON object of a payload, which may be anything; empty if it is none."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):  # nested thousands of levels deep
        return {}
    return content if isinstance(content, dict) else {}


def finite_number(value: object) -> float | None:
    """Return a number of a message as float; None for anything else, also for NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


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
        return f"{local_of(str(rfc3339)):%H:%M:%S}"
    except ValueError:
        return "--:--:--"
