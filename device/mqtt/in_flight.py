"""Messages in flight: sent to the broker and not acknowledged, with the slots of each kind. Used from one thread."""

import time
from dataclasses import dataclass, field
from typing import Literal

import paho.mqtt.client as paho

from device.mqtt.retained_store import RetainedMessage
from device.outbox.entry import Entry

LaneName = Literal["live", "backlog", "state"]

_MOST_STATES = 10
"""States in flight: few, because an event message waits in the network's buffers behind them."""


@dataclass(frozen=True)
class Sent:
    """Message in flight.

    Attributes:
        item: event message or state; None for live values.
        topic: of the message.
        lane: kind of the message.
        qos: quality of service at which it was sent.
        size: length of its payload, in bytes.
        is_reduced: whether its payload is a smaller one, for the broker's limit.
    """

    item: Entry | RetainedMessage | None
    topic: str
    lane: LaneName
    qos: int
    size: int
    is_reduced: bool
    at: float = field(default_factory=time.monotonic)
    """Monotonic time of sending, s."""

    @property
    def age(self) -> float:
        """Time since it was sent, s."""
        return time.monotonic() - self.at


class InFlight:
    """Messages in flight by message id, within the broker's limit.

    Each kind has slots of its own, so that states and late event messages never occupy those of live ones.

    Attributes:
        slots: largest number of messages in flight, by lane.
    """

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self._limit = 0
        self.slots: dict[LaneName, int] = {"live": 0, "backlog": 0, "state": 0}

    def begin(self, limit: int, *, one_state: bool) -> None:
        """Begin a connection without messages in flight.

        Args:
            limit: largest number of messages in flight at QoS 1, at least 1.
            one_state: whether only one state may be in flight, to find the one that ends the connection.
        """
        self._sent.clear()
        self._limit = limit
        states = min(limit // 3, 1 if one_state else _MOST_STATES)
        live = max(1, limit // 4)
        self.slots = {"live": limit, "backlog": max(1, limit - live - states), "state": states}

    def clear(self) -> None:
        """Forget all messages, because the connection has ended."""
        self._sent.clear()

    def forget_events(self) -> None:
        """Forget the event messages, because their sequence numbers may have changed."""
        self._sent = {mid: sent for mid, sent in self._sent.items() if not isinstance(sent.item, Entry)}

    def publish(self, client: paho.Client, sent: Sent, payload: bytes, *, retain: bool = False) -> None:
        """Publish a message. It is in flight until `pop`."""
        self._sent[client.publish(sent.topic, payload, qos=sent.qos, retain=retain).mid] = sent

    def pop(self, mid: int) -> Sent | None:
        """Remove and return an answered message; None for an unknown id."""
        return self._sent.pop(mid, None)

    def free(self, lane: LaneName) -> int:
        """Return how many more messages of a lane may be in flight at QoS 1."""
        waiting = [sent.lane for sent in self._sent.values() if sent.qos]
        return min(self.slots[lane] - waiting.count(lane), self._limit - len(waiting))

    def of(self, lane: LaneName) -> list[Sent]:
        """Return the messages of a lane, the oldest first; any thread."""
        return [sent for sent in list(self._sent.values()) if sent.lane == lane]

    def oldest(self, lane: LaneName) -> Sent | None:
        """Return the oldest message of a lane; None if none is in flight."""
        return next((sent for sent in self._sent.values() if sent.lane == lane), None)

    def sequences(self, lane: LaneName) -> set[int]:
        """Return the sequence numbers of a lane's event messages."""
        return {sent.item.sequence for sent in self.of(lane) if isinstance(sent.item, Entry)}

    def all(self) -> list[Sent]:
        """Return all messages, the oldest first."""
        return list(self._sent.values())
