"""The publisher: from the outbox to the broker, and out of the outbox once the broker has confirmed."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.mqtt.connection import Connection
from device.mqtt.delivery import RETRY_SECONDS, Delivery
from device.mqtt.inbound_queue import Handler, InboundQueue
from device.mqtt.messages import OFFLINE, ONLINE, Topics
from device.mqtt.retained_store import RetainedStore
from device.outbox.queue import Outbox, OutboxStatus
from device.util.clock import CLOCK, Clock, Stamp
from device.util.log_throttle import LogThrottle

_GOODBYE_SECONDS = 2.0
"""How long the last status may take."""
_JOBS_AT_ONCE = 1000
_DEAF_SECONDS = 10.0
"""How long a flood of commands is kept away."""

_Job = Callable[[], None]


@dataclass(frozen=True)
class DeliveryFacts:
    """How delivery goes, for `health`.

    Attributes:
        connected: whether the broker has accepted us.
        acknowledged_seconds_ago: age of the broker's last confirmation; None before the first.
        commands_dropped: messages to us that were too many or too large.
        outbox: what waits.
    """

    connected: bool
    acknowledged_seconds_ago: float | None
    commands_dropped: int
    outbox: OutboxStatus


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
        clock: tells how old a message is, and whether its times are to be put right.
    """

    def __init__(
        self, config: MqttConfig, password: str | None, node_id: str, outbox: Outbox, clock: Clock = CLOCK
    ) -> None:
        self._topics = Topics(node_id)
        self._outbox = outbox
        self._clock = clock
        self._retained = RetainedStore()
        self._delivery = Delivery(outbox, self._retained, self._topics, clock, config.live_seconds)
        self._incoming = InboundQueue(lambda: self._inbox.put(self._turn_deaf))
        self._deaf_until: float | None = None
        self._log_throttle = LogThrottle()
        self._connection = Connection(config, password, f"earshot-{node_id}", (self._topics.status, OFFLINE), self)
        self._inbox: SimpleQueue[_Job] = SimpleQueue()
        self._unstored = 0
        self._asked_at: float | None = None
        self._progress = threading.Condition()
        self._running = True
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start connecting; never waits for the broker."""
        self.retain(self._topics.status, ONLINE)
        self._thread.start()
        self._open.enter_context(self._connection)
        self._open.enter_context(self._incoming)
        return self

    def __exit__(self, *_: object) -> None:
        """Store what is still to be stored, say `offline`, and leave."""
        self.retain(self._topics.status, OFFLINE)
        with self._progress:
            self._progress.wait_for(lambda: self._delivery.has_said_all, _GOODBYE_SECONDS)
        self._open.close()
        self._inbox.put(self._stop)
        self._thread.join()

    def send(self, message: dict[str, Any]) -> None:
        """Take an event message; returns at once, the rest happens in the background."""
        with self._progress:
            self._unstored += 1
        self._inbox.put(partial(self._store, message, self._clock.stamp()))

    def state(self, name: str, payload: bytes | str) -> None:
        """Have the broker keep a value under `earshot/<node_id>/<name>`, now and after each connection.

        Any thread; returns at once. Of values that follow one another while the broker is away, the last counts.
        """
        self.retain(self._topics.own(name), payload)

    def retain(self, topic: str, payload: bytes | str) -> None:
        """The same under a topic that is not ours, as Home Assistant's discovery is."""
        self._retained.set(topic, payload.encode() if isinstance(payload, str) else payload)
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
        at = self._delivery.acknowledged_at
        return DeliveryFacts(
            connected=self._delivery.client is not None,
            acknowledged_seconds_ago=None if at is None else time.monotonic() - at,
            commands_dropped=self._incoming.dropped,
            outbox=self._outbox.status(),
        )

    def silent_seconds(self) -> float:
        """How long the outbox has owed an answer, s; asks it again where it owes none. Of one thread."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._inbox.put(self._answer)
            return 0.0
        return time.monotonic() - self._asked_at

    def wait_delivered(self, timeout: float) -> int:
        """Wait until the broker has confirmed every event, at most `timeout` seconds; gives how many still wait."""
        with self._progress:
            self._progress.wait_for(lambda: self._waiting() == 0, timeout)
            return self._waiting()

    # What the connection tells, from its thread: see `Peer`.

    def connected(self, client: paho.Client, in_flight: int) -> None:
        """The broker is there."""
        self._inbox.put(partial(self._begin, client, in_flight))

    def disconnected(self, client: paho.Client) -> None:
        """The broker is gone."""
        self._inbox.put(partial(self._delivery.end, client))

    def acknowledged(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """The broker has taken a message, or refuses it."""
        self._inbox.put(partial(self._delivery.confirm, client, mid, reason))

    def received(self, message: paho.MQTTMessage) -> None:
        """Somebody has sent us something."""
        self._incoming.take(message)

    # What follows runs on the publisher's thread.

    def _work(self) -> None:
        while self._running:
            for job in self._jobs():
                job()
            self._delivery.go_on()
            if self._deaf_until is not None and time.monotonic() >= self._deaf_until:
                self._listen()
            with self._progress:
                self._progress.notify_all()

    def _jobs(self) -> list[_Job]:
        """What is to be done, all at once, so that what is confirmed together is deleted together."""
        jobs: list[_Job] = []
        try:
            jobs.append(self._inbox.get(timeout=RETRY_SECONDS))
            while len(jobs) < _JOBS_AT_ONCE:
                jobs.append(self._inbox.get_nowait())
        except Empty:
            pass
        return jobs

    def _store(self, message: dict[str, Any], made: Stamp) -> None:
        self._delivery.store(message, made)
        with self._progress:
            self._unstored -= 1

    def _answer(self) -> None:
        self._outbox.refresh_status()
        self._asked_at = None

    def _begin(self, client: paho.Client, in_flight: int) -> None:
        self._delivery.begin(client, in_flight)
        self._listen()

    def _listen(self) -> None:
        self._deaf_until = None
        for topic_filter in self._incoming.filters:
            self._subscribe_now(topic_filter)

    def _turn_deaf(self) -> None:
        """Somebody floods us: have the broker keep it for a while, so that events are not delayed."""
        if self._delivery.client is not None and self._incoming.filters:
            self._log_throttle.warning(f"too many commands at once: none are taken for {_DEAF_SECONDS:.0f} s")
            self._delivery.client.unsubscribe(self._incoming.filters)
            self._deaf_until = time.monotonic() + _DEAF_SECONDS

    def _waiting(self) -> int:
        return self._unstored + len(self._outbox)

    def _subscribe(self, topic_filter: str, handler: Handler, *, take_retained: bool) -> None:
        self._incoming.add(topic_filter, handler, take_retained=take_retained)
        self._inbox.put(partial(self._subscribe_now, topic_filter))

    def _subscribe_now(self, topic_filter: str) -> None:
        if self._delivery.client is not None:
            self._delivery.client.subscribe(topic_filter, qos=1)

    def _stop(self) -> None:
        self._running = False


def _nothing() -> None:
    """Wakes the publisher: there is a state to say."""
