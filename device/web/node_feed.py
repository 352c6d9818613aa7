"""Node feed: what the daemon publishes, as a subscriber of the broker receives it, and the commands to the daemon."""

import json
import math
import threading
from collections import Counter
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.client_factory import make_client
from device.mqtt.connection_errors import describe_refusal
from device.util.supervised_thread import SupervisedThread

_PROTOCOL: Final = MQTTProtocolVersion.MQTTv311
_STATES: Final = ("status", "health", "listening", "unknown/last", "spectrogram", "sound/+", "threshold/+", "event")
_LONGEST: Final = 256 * 1024
"""Longest payload that is kept, bytes. A spectrogram has some tens of kilobytes."""
_MOST_TOPICS: Final = 2000
"""Most topics that are kept: the node has a few, and two for each label."""
_LAST_PAUSE: Final = 30
"""Longest pause between two attempts to connect, s."""
_LEAVE_SECONDS: Final = 3.0
_SEND_SECONDS: Final = 5.0
"""Time for the broker to acknowledge a command, s."""


class NodeFeed:
    """Last value of each topic of a node; a context manager. Any thread may use it.

    The broker may be away: the client tries again until it is back.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        node_id: the node.
    """

    def __init__(self, config: MqttConfig, password: str | None, node_id: str) -> None:
        self._config = config
        self._prefix = f"earshot/{node_id}/"
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}
        self._events: Counter[str] = Counter()
        self._version = 0
        self._is_connected = False
        self._fault = ""
        self._client = make_client(config, password, "", _PROTOCOL)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, _LAST_PAUSE)
        self._thread = SupervisedThread("mqtt", self._work)

    def __enter__(self) -> Self:
        """Connect in the background."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop(self._client.disconnect, _LEAVE_SECONDS)

    @property
    def version(self) -> int:
        """Number of changes so far."""
        return self._version

    @property
    def is_connected(self) -> bool:
        """True while the broker is there."""
        return self._is_connected

    @property
    def fault(self) -> str:
        """Reason why the broker refuses the connection; empty without one."""
        return self._fault

    def text(self, topic: str) -> str:
        """Return the last payload of a topic, as in `listening`; empty without one."""
        return self._values.get(topic, b"").decode("utf-8", "replace")

    def picture(self) -> bytes:
        """Return the last spectrogram, a PNG; empty without one."""
        return self._values.get("spectrogram", b"")

    def message(self, topic: str) -> dict[str, Any]:
        """Return the last message of a topic, as in `health`; empty without one."""
        return parse_message(self._values.get(topic, b""))

    def states(self, kind: str) -> dict[str, str]:
        """Return the last payloads below `sound/` or `threshold/`, by slug, sorted."""
        with self._lock:
            found = {name: value for name, value in self._values.items() if name.startswith(f"{kind}/")}
        return {name.partition("/")[2]: value.decode("utf-8", "replace") for name, value in sorted(found.items())}

    def events(self) -> dict[str, int]:
        """Return the number of events that started since this process did, by label."""
        with self._lock:
            return dict(self._events)

    def send_command(self, name: str, payload: str) -> None:
        """Send a command to the daemon, and wait until the broker has it.

        Args:
            name: the topic after `command/`.
            payload: as in docs/mqtt.md.

        Raises:
            UnavailableError: the broker is away.
        """
        away = "the broker is away, so the daemon gets no command. Check the broker"
        if not self._is_connected:
            raise UnavailableError(away)
        sent = self._client.publish(f"{self._prefix}command/{name}", payload, qos=1)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise UnavailableError(away)
        sent.wait_for_publish(_SEND_SECONDS)
        if not sent.is_published():
            raise UnavailableError("the broker does not acknowledge the command. Check it, then send it again")

    def _work(self) -> None:
        self._client.connect_async(self._config.host, self._config.port, self._config.keepalive_seconds)
        self._client.loop_forever(retry_first_connection=True)

    # The methods below run on the client's thread.

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._fault = describe_refusal(reason) if reason.is_failure else ""
        self._is_connected = not reason.is_failure
        if self._is_connected:
            client.subscribe([(self._prefix + state, 1) for state in _STATES])
        self._version += 1

    def _on_disconnect(self, *_: Any) -> None:
        self._is_connected = False
        self._version += 1

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(self._prefix)
        with self._lock:
            if not message.payload:  # a deleted retained message
                self._values.pop(topic, None)
            elif len(message.payload) <= _LONGEST and (topic in self._values or len(self._values) < _MOST_TOPICS):
                self._values[topic] = bytes(message.payload)
        if topic == "event":
            self._count(self.message("event"))
        self._version += 1

    def _count(self, event: dict[str, Any]) -> None:
        label = event.get("label")
        if event.get("type") == "start" and isinstance(label, str):
            with self._lock:
                if label in self._events or len(self._events) < _MOST_TOPICS:
                    self._events[label] += 1


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
