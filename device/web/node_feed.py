"""Node feed: what the daemon publishes, as a subscriber of the broker receives it, and the commands to the daemon."""

import threading
import time
from collections import Counter
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.errors import UnavailableError
from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.client_factory import LARGEST_PACKET
from device.mqtt.connection import Connection
from device.mqtt.connection_errors import AWAY, DISCONNECTED
from device.mqtt.subscriber import parse_message

_TOPICS: Final = (
    "status",
    "health",
    "listening",
    "unknown/last",
    "spectrogram",
    "sound/+",
    "threshold/+",
    "event",
    "live",
)
_MOST_TOPICS: Final = 2000
"""Most topics that are kept: the node has a few, and two for each label."""
_SEND_SECONDS: Final = 5.0
"""Time for the broker to acknowledge a command, s."""


class NodeFeed:
    """Last value of each topic of a node; a context manager. Any thread may use it.

    The broker may be away: the connection tries again until it is back.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        node_id: the node.
    """

    def __init__(self, config: MqttConfig, password: str | None, node_id: str) -> None:
        self._prefix = f"earshot/{node_id}/"
        self._lock = threading.Lock()
        self._values: dict[str, bytes] = {}
        self._received_at: dict[str, float] = {}
        self._events: Counter[str] = Counter()
        self._version = 0
        self._client: paho.Client | None = None
        self._fault = ""
        self._connection = Connection(config, password, "", None, self)

    def __enter__(self) -> Self:
        """Connect in the background."""
        self._connection.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__()

    @property
    def version(self) -> int:
        """Number of changes so far."""
        return self._version

    @property
    def is_connected(self) -> bool:
        """True while the broker is there."""
        return self._client is not None

    @property
    def fault(self) -> str:
        """Reason why the connection to a broker that is there fails, and the cure; empty without one."""
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

    def seconds_since(self, topic: str) -> float:
        """Return the time since the last message of a topic, s; infinite without one."""
        return time.monotonic() - self._received_at.get(topic, float("-inf"))

    def states(self, kind: str) -> dict[str, str]:
        """Return the last payloads below `sound/` or `threshold/`, by slug, sorted."""
        with self._lock:
            found = {name: value for name, value in self._values.items() if name.startswith(f"{kind}/")}
        return {name.partition("/")[2]: value.decode("utf-8", "replace") for name, value in sorted(found.items())}

    def events(self) -> dict[str, int]:
        """Return the number of events that started since this process did, by label."""
        with self._lock:
            return dict(self._events)

    def ask_for_live(self, seconds: int) -> None:
        """Ask the daemon for live values for a time, s, now or never: at QoS 0, which no broker keeps for it."""
        if (client := self._client) is not None:
            client.publish(f"{self._prefix}command/live", str(seconds))

    def send_command(self, name: str, payload: str) -> None:
        """Send a command to the daemon, and wait until the broker has it.

        Args:
            name: the topic after `command/`.
            payload: as in docs/mqtt.md.

        Raises:
            UnavailableError: the broker is away.
        """
        away = "the broker is away, so the daemon gets no command. Check the broker"
        client = self._client
        if client is None:
            raise UnavailableError(away)
        sent = client.publish(f"{self._prefix}command/{name}", payload, qos=1)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise UnavailableError(away)
        sent.wait_for_publish(_SEND_SECONDS)
        if not sent.is_published():
            raise UnavailableError("the broker does not acknowledge the command. Check it, then send it again")

    # Callbacks of the connection, called on its thread: see `ConnectionObserver`.

    def on_connect(self, client: paho.Client, limits: BrokerLimits) -> None:
        """See `ConnectionObserver`."""
        self._client, self._fault = client, ""
        for topic in _TOPICS:
            client.subscribe(self._prefix + topic, qos=1)
        self._version += 1

    def on_disconnect(self, client: paho.Client, *, by_message: bool) -> None:
        """See `ConnectionObserver`."""
        self._client = None
        self._version += 1

    def on_fault(self, fault: str, seconds: float) -> None:
        """See `ConnectionObserver`."""
        # The health page has a sentence in the user's language for a broker that is away.
        self._fault = "" if fault.startswith(AWAY) or fault == DISCONNECTED else fault

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""

    def on_subscribe(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""

    def on_message(self, message: paho.MQTTMessage) -> None:
        """See `ConnectionObserver`."""
        topic, payload = message.topic.removeprefix(self._prefix), bytes(message.payload)
        if len(payload) > LARGEST_PACKET:  # MQTT 5 prevents it, 3.1.1 does not
            return
        with self._lock:
            if not payload:  # a deleted retained message
                self._values.pop(topic, None)
                self._received_at.pop(topic, None)
            elif topic in self._values or len(self._values) < _MOST_TOPICS:
                self._values[topic], self._received_at[topic] = payload, time.monotonic()
        if topic == "event":
            self._count(parse_message(payload))
        self._version += 1

    def _count(self, event: dict[str, Any]) -> None:
        label = event.get("label")
        if event.get("type") == "start" and isinstance(label, str):
            with self._lock:
                if label in self._events or len(self._events) < _MOST_TOPICS:
                    self._events[label] += 1
