"""The publisher: from the outbox to the broker, and out of the outbox once the broker has confirmed."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.config import MqttConfig
from device.mqtt.connection import Connection
from device.mqtt.incoming import Handler, Incoming
from device.mqtt.messages import OFFLINE, ONLINE, Topics, encode
from device.outbox import Entry, Outbox

_LOGGER = logging.getLogger(__name__)

_GOODBYE_SECONDS = 2.0
"""How long the last status may take."""


@dataclass(frozen=True)
class DeliveryFacts:
    """How delivery goes, for `health`.

    Attributes:
        connected: whether the broker has accepted us.
        outbox_depth: event messages that are not confirmed.
        acknowledged_seconds_ago: age of the broker's last confirmation; None before the first.
        commands_dropped: messages to us that were too many or too large.
    """

    connected: bool
    outbox_depth: int
    acknowledged_seconds_ago: float | None
    commands_dropped: int


@dataclass(frozen=True)
class _State:
    """A retained value under way."""

    topic: str
    payload: bytes


def _nothing() -> None:
    """Wake the publisher: there is something to say."""


class Publisher:
    """Publishes at QoS 1, in the background: event messages in their order, and states; a context manager.

    One thread of ours owns the outbox: each thing that happens (a message to send, a confirmation from the
    broker, a connection) is a job in its inbox. The connection's thread talks to the network. A broker that is
    away is normal: messages wait in the outbox, and those that waited long go to `event/backlog`; of a state
    only the last value waits.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        node_id: names the topics.
        outbox: open; nothing else may use it meanwhile.
    """

    def __init__(self, config: MqttConfig, password: str | None, node_id: str, outbox: Outbox) -> None:
        self._config = config
        self._topics = Topics(node_id)
        self._outbox = outbox
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._incoming = Incoming()
        self._connection = Connection(config, password, f"earshot-{node_id}", (self._topics.status, OFFLINE), self)
        self._client: paho.Client | None = None
        self._limit = 0
        self._in_flight: dict[int, Entry | _State] = {}
        self._sent_up_to = 0
        self._stored_at: dict[int, float] = {}
        self._states: dict[str, bytes] = {}
        self._unsaid: dict[str, None] = {}
        self._states_lock = threading.Lock()
        self._acknowledged_at: float | None = None
        self._waiting = len(outbox)
        self._delivered = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        """Start connecting; never waits for the broker."""
        self.retain(self._topics.status, ONLINE)
        self._thread.start()
        self._incoming.__enter__()
        self._connection.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Store what is still to be stored, say `offline`, and leave."""
        self._incoming.__exit__()
        self.retain(self._topics.status, OFFLINE)
        with self._delivered:
            self._delivered.wait_for(self._said_all, _GOODBYE_SECONDS)
        self._connection.__exit__()
        self._inbox.put(None)
        self._thread.join()

    def send(self, message: dict[str, Any]) -> None:
        """Take an event message; returns at once, the rest happens in the background."""
        with self._delivered:
            self._waiting += 1
        self._inbox.put(partial(self._store, message))

    def state(self, name: str, payload: bytes | str) -> None:
        """Have the broker keep a value under `earshot/<node_id>/<name>`, now and after each connection.

        Any thread; returns at once. Of values that follow one another while the broker is away, the last counts.
        """
        self.retain(self._topics.own(name), payload)

    def retain(self, topic: str, payload: bytes | str) -> None:
        """The same under a topic that is not ours, as Home Assistant's discovery is."""
        with self._states_lock:
            self._states[topic] = payload.encode() if isinstance(payload, str) else payload
            is_first = not self._unsaid
            self._unsaid[topic] = None
        if is_first:
            self._inbox.put(_nothing)

    def on_command(self, handler: Handler) -> None:
        """Have `handler(name, payload)` called for each `command/<name>`, one at a time, on a thread of its own."""
        prefix = self._topics.command

        def handle(topic: str, payload: bytes) -> None:
            handler(topic.removeprefix(prefix), payload)

        self._subscribe(f"{prefix}#", handle, take_retained=False)

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Have `handler(topic, payload)` called for each message that matches, as `on_command` does."""
        self._subscribe(topic_filter, handler, take_retained=True)

    def facts(self) -> DeliveryFacts:
        """How delivery goes; any thread."""
        acknowledged_at = self._acknowledged_at
        return DeliveryFacts(
            connected=self._client is not None,
            outbox_depth=self._waiting,
            acknowledged_seconds_ago=None if acknowledged_at is None else time.monotonic() - acknowledged_at,
            commands_dropped=self._incoming.dropped,
        )

    def wait_delivered(self, timeout: float) -> int:
        """Wait until the broker has confirmed every event, at most `timeout` seconds; gives how many still wait."""
        with self._delivered:
            self._delivered.wait_for(lambda: self._waiting == 0, timeout)
            return self._waiting

    # What the connection tells, from its thread.

    def connected(self, client: paho.Client, in_flight: int) -> None:
        """See `Peer`."""
        self._inbox.put(partial(self._connected, client, in_flight))

    def disconnected(self, client: paho.Client) -> None:
        """See `Peer`."""
        self._inbox.put(partial(self._disconnected, client))

    def acknowledged(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `Peer`."""
        self._inbox.put(partial(self._acknowledged, client, mid, reason))

    def received(self, message: paho.MQTTMessage) -> None:
        """See `Peer`."""
        self._incoming.take(message)

    # What follows runs on the publisher's thread.

    def _work(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                job()
                self._fill()
            except sqlite3.Error as error:  # the thread must live: what is on disk is sent when the disk is back
                _LOGGER.error("the outbox cannot be used (%s). Check the disk", error)  # noqa: TRY400 - one clear line

    def _store(self, message: dict[str, Any]) -> None:
        try:
            entry = self._outbox.append(message)
        except sqlite3.Error as error:
            self._count_down()
            _LOGGER.error("an event is lost: the outbox cannot be written (%s). Check the disk", error)  # noqa: TRY400
            return
        self._stored_at[entry.sequence] = time.monotonic()

    def _connected(self, client: paho.Client, limit: int) -> None:
        self._client, self._limit = client, limit
        with self._states_lock:
            self._unsaid = dict.fromkeys([self._topics.status, *self._states])
        for topic_filter in self._incoming.filters:
            client.subscribe(topic_filter, qos=1)

    def _disconnected(self, client: paho.Client) -> None:
        """Nobody will confirm what was under way: it is sent again, from the outbox, as late as it is by then."""
        if client is not self._client:
            return
        self._client = None
        under_way = [item.sequence for item in self._in_flight.values() if isinstance(item, Entry)]
        self._sent_up_to = min([self._sent_up_to + 1, *under_way]) - 1
        self._in_flight.clear()

    def _acknowledged(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        if client is not self._client or (item := self._in_flight.pop(mid, None)) is None:
            return
        self._acknowledged_at = time.monotonic()
        if isinstance(item, _State):
            with self._delivered:
                self._delivered.notify_all()
            return
        self._outbox.delete(item.sequence)
        self._stored_at.pop(item.sequence, None)
        self._count_down()

    def _fill(self) -> None:
        """Hand over what waits, states first, then events from the oldest, as far as the broker keeps up."""
        while self._client is not None and len(self._in_flight) < self._limit and (state := self._next_state()):
            info = self._client.publish(state.topic, state.payload, qos=1, retain=True)
            self._in_flight[info.mid] = state
        if self._client is None or len(self._in_flight) >= self._limit:
            return
        for entry in self._outbox.after(self._sent_up_to, self._limit - len(self._in_flight)):
            topic, payload = self._address(entry)
            info = self._client.publish(topic, payload, qos=1)
            self._in_flight[info.mid] = entry
            self._sent_up_to = entry.sequence

    def _next_state(self) -> _State | None:
        with self._states_lock:
            topic = next(iter(self._unsaid), None)
            if topic is None:
                return None
            del self._unsaid[topic]
            return _State(topic, self._states[topic])

    def _address(self, entry: Entry) -> tuple[str, bytes]:
        """Topic and payload: what happened just now is live; the rest must not fire anyone's lights."""
        stored_at = self._stored_at.get(entry.sequence)
        if stored_at is not None and time.monotonic() - stored_at <= self._config.live_seconds:
            return self._topics.event, encode(entry.message)
        return self._topics.backlog, encode(entry.message | {"replayed": True})

    def _count_down(self) -> None:
        with self._delivered:
            self._waiting -= 1
            self._delivered.notify_all()

    def _said_all(self) -> bool:
        """Whether no state is unsaid or unconfirmed, or nobody is there to say it to."""
        in_flight = any(isinstance(item, _State) for item in list(self._in_flight.values()))
        return self._client is None or (not self._unsaid and not in_flight)

    def _subscribe(self, topic_filter: str, handler: Handler, *, take_retained: bool) -> None:
        self._incoming.add(topic_filter, handler, take_retained=take_retained)
        self._inbox.put(partial(self._subscribe_now, topic_filter))

    def _subscribe_now(self, topic_filter: str) -> None:
        if self._client is not None:
            self._client.subscribe(topic_filter, qos=1)
