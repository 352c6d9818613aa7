"""Publisher: event messages from the outbox to the broker, deleted on acknowledgement; states; commands."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
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
from device.util.supervised_thread import SupervisedThread

_GOODBYE_SECONDS = 2.0
"""Time for the delivery of the last `status`."""
_JOBS_AT_ONCE = 1000
_COMMAND_PAUSE_SECONDS = 10.0
"""Time without a subscription to commands after an overload."""

_Job = Callable[[], None]


@dataclass(frozen=True)
class DeliveryStatus:
    """State of delivery, for `health`.

    Attributes:
        connected: whether the broker has accepted the connection.
        acknowledged_seconds_ago: age of the broker's last acknowledgement, s; None before the first.
        commands_dropped: received messages that were dropped, because they were too many or too large.
        outbox: state of the outbox.
    """

    connected: bool
    acknowledged_seconds_ago: float | None
    commands_dropped: int
    outbox: OutboxStatus


class Publisher:
    """Background publisher of event messages, in order, and of states, at QoS 1; a context manager.

    Its thread is the only one that uses the outbox. Each message to send, acknowledgement and connection is a job in
    its inbox. The connection has a thread of its own for the network. While the broker is away, event messages are kept
    in the outbox, and late ones go to `event/backlog`; of each state only the last value is kept.

    Args:
        config: the broker.
        password: for `config.username`; None for none.
        node_id: names the topics.
        outbox: open; nothing else may use it meanwhile.
        clock: determines the age of messages, and corrects their times.
    """

    def __init__(
        self, config: MqttConfig, password: str | None, node_id: str, outbox: Outbox, clock: Clock = CLOCK
    ) -> None:
        self._topics = Topics(node_id)
        self._outbox = outbox
        self._clock = clock
        self._retained = RetainedStore()
        self._delivery = Delivery(outbox, self._retained, self._topics, clock, config.live_seconds)
        self._inbound = InboundQueue(lambda: self._inbox.put(self._pause_commands))
        self._commands_paused_until: float | None = None
        self._log_throttle = LogThrottle()
        self._connection = Connection(config, password, f"earshot-{node_id}", (self._topics.status, OFFLINE), self)
        self._inbox: SimpleQueue[_Job] = SimpleQueue()
        self._jobs: deque[_Job] = deque()
        self._unstored = 0
        self._probed_at: float | None = None
        self._progress = threading.Condition()
        self._running = True
        self._thread = SupervisedThread("publisher", self._work)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start connecting; never waits for the broker."""
        self.publish_retained(self._topics.status, ONLINE)
        self._thread.start()
        self._open.enter_context(self._connection)
        self._open.enter_context(self._inbound)
        return self

    def __exit__(self, *_: object) -> None:
        """Store the remaining messages, publish `offline`, and disconnect."""
        self.publish_retained(self._topics.status, OFFLINE)
        with self._progress:
            self._progress.wait_for(lambda: self._delivery.has_sent_retained, _GOODBYE_SECONDS)
        self._open.close()
        self._thread.stop(lambda: self._inbox.put(self._stop))

    def send(self, message: dict[str, Any]) -> None:
        """Queue an event message for delivery; returns at once."""
        with self._progress:
            self._unstored += 1
        self._inbox.put(partial(self._store, message, self._clock.stamp()))

    def publish_state(self, name: str, payload: bytes | str) -> None:
        """Publish a retained message at `earshot/<node_id>/<name>`, now and after each connection.

        Any thread; returns at once. While the broker is away, only the last payload of a topic is kept.
        """
        self.publish_retained(self._topics.state(name), payload)

    def publish_retained(self, topic: str, payload: bytes | str) -> None:
        """Publish like `publish_state`, at a full topic, such as Home Assistant's discovery."""
        self._retained.set(topic, payload.encode() if isinstance(payload, str) else payload)
        self._inbox.put(_wake)

    def subscribe_commands(self, handler: Handler) -> None:
        """Call `handler(name, payload)` for each `command/<name>`, one at a time, on a thread of its own."""
        prefix = self._topics.command

        def handle(topic: str, payload: bytes) -> None:
            handler(topic.removeprefix(prefix), payload)

        self._subscribe(f"{prefix}#", handle, accept_retained=False)

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Call `handler(topic, payload)` for each message that matches, on the thread of the commands."""
        self._subscribe(topic_filter, handler, accept_retained=True)

    def status(self) -> DeliveryStatus:
        """Return the state of delivery; any thread."""
        at = self._delivery.acknowledged_at
        return DeliveryStatus(
            connected=self._delivery.client is not None,
            acknowledged_seconds_ago=None if at is None else time.monotonic() - at,
            commands_dropped=self._inbound.dropped,
            outbox=self._outbox.status(),
        )

    def silent_seconds(self) -> float:
        """Return how long the publisher's thread has made no progress, s. Used from one thread.

        Each call after progress puts a job into its inbox. A job that is still there shows that the outbox hangs.
        """
        if self._probed_at is None:
            self._probed_at = time.monotonic()
            self._inbox.put(self._answer_probe)
            return 0.0
        return time.monotonic() - self._probed_at

    def wait_delivered(self, timeout: float) -> int:
        """Wait until the broker has acknowledged every event message, at most `timeout` seconds.

        Returns:
            Number of messages without acknowledgement.
        """
        with self._progress:
            self._progress.wait_for(lambda: self._undelivered() == 0, timeout)
            return self._undelivered()

    # Callbacks of the connection, called on its thread: see `ConnectionObserver`.

    def on_connect(self, client: paho.Client, in_flight: int) -> None:
        """See `ConnectionObserver`."""
        self._inbox.put(partial(self._begin, client, in_flight))

    def on_disconnect(self, client: paho.Client) -> None:
        """See `ConnectionObserver`."""
        self._inbox.put(partial(self._delivery.on_disconnect, client))

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""
        self._inbox.put(partial(self._delivery.on_acknowledge, client, mid, reason))

    def on_message(self, message: paho.MQTTMessage) -> None:
        """See `ConnectionObserver`."""
        self._inbound.put(message)

    # The methods below run on the publisher's thread.

    def _work(self) -> None:
        while self._running:
            self._take_jobs()
            while self._jobs:  # one at a time: the others remain if one fails
                self._jobs.popleft()()
            self._delivery.process()
            if self._commands_paused_until is not None and time.monotonic() >= self._commands_paused_until:
                self._subscribe_all()
            with self._progress:
                self._progress.notify_all()

    def _take_jobs(self) -> None:
        """Take all jobs from the inbox, so that messages acknowledged together are deleted together."""
        with suppress(Empty):
            while len(self._jobs) < _JOBS_AT_ONCE:
                self._jobs.append(self._inbox.get(block=not self._jobs, timeout=RETRY_SECONDS))

    def _store(self, message: dict[str, Any], created: Stamp) -> None:
        try:
            self._delivery.enqueue(message, created)
        finally:
            with self._progress:
                self._unstored -= 1

    def _answer_probe(self) -> None:
        self._outbox.refresh_status()
        self._probed_at = None

    def _begin(self, client: paho.Client, in_flight: int) -> None:
        self._delivery.on_connect(client, in_flight)
        self._subscribe_all()

    def _subscribe_all(self) -> None:
        self._commands_paused_until = None
        for topic_filter in self._inbound.filters:
            self._subscribe_now(topic_filter)

    def _pause_commands(self) -> None:
        """Cancel the subscriptions for a while, so that a flood of commands does not delay events."""
        if self._delivery.client is not None and self._inbound.filters:
            self._log_throttle.warning(
                f"too many commands at once: commands are ignored for {_COMMAND_PAUSE_SECONDS:.0f} s. Send fewer"
            )
            self._delivery.client.unsubscribe(self._inbound.filters)
            self._commands_paused_until = time.monotonic() + _COMMAND_PAUSE_SECONDS

    def _undelivered(self) -> int:
        return self._unstored + len(self._outbox)

    def _subscribe(self, topic_filter: str, handler: Handler, *, accept_retained: bool) -> None:
        self._inbound.add(topic_filter, handler, accept_retained=accept_retained)
        self._inbox.put(partial(self._subscribe_now, topic_filter))

    def _subscribe_now(self, topic_filter: str) -> None:
        if self._delivery.client is not None:
            self._delivery.client.subscribe(topic_filter, qos=1)

    def _stop(self) -> None:
        self._running = False


def _wake() -> None:
    """Do nothing: this job only wakes the publisher's thread, because a retained message is set."""
