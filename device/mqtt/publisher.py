"""Publisher: event messages from the outbox to the broker, deleted on acknowledgement; states; commands."""

import logging
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.config.models import MqttConfig
from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.connection import Connection
from device.mqtt.delivery import Delivery
from device.mqtt.delivery_status import DeliveryStatus
from device.mqtt.event_lane import RETRY_SECONDS
from device.mqtt.inbound_queue import Handler, InboundQueue
from device.mqtt.job_inbox import InboxProbe, JobInbox
from device.mqtt.messages import OFFLINE, ONLINE, Topics
from device.mqtt.retained_store import RetainedStore
from device.mqtt.subscriptions import Subscriptions
from device.mqtt.topic_faults import TopicFaults
from device.outbox.queue import Outbox
from device.util.clock import CLOCK, Clock, Stamp
from device.util.log_throttle import LogThrottle
from device.util.supervised_thread import SupervisedThread

_LOGGER = logging.getLogger(__name__)

_GOODBYE_SECONDS = 2.0
"""Time for the delivery of the last `status`."""
_STABLE_SECONDS = 60.0
"""Duration after which a connection counts as stable, so that the next fault is logged again."""


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
        self._faults = TopicFaults()
        self._delivery = Delivery(outbox, self._retained, self._topics, clock, config.live_seconds, self._faults)
        self._inbound = InboundQueue(lambda: self._inbox.put(self._subscriptions.pause))
        self._subscriptions = Subscriptions(self._inbound, self._faults)
        self._broker = f"{config.host}:{config.port}"
        self._log_throttle = LogThrottle()
        self._connections, self._last_fault = 0, ""
        self._connection = Connection(config, password, f"earshot-{node_id}", (self._topics.status, OFFLINE), self)
        self._inbox = JobInbox()
        self._unstored = 0
        self._probe = InboxProbe(self._inbox, outbox.refresh_status)
        self._progress = threading.Condition()
        self._running, self._is_leaving = True, False
        self._thread = SupervisedThread("publisher", self._work)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start storing messages; see `connect`."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Store the remaining messages, publish `offline`, and disconnect."""
        self._is_leaving = True
        self.publish_retained(self._topics.status, OFFLINE)
        with self._progress:
            self._progress.wait_for(lambda: self._delivery.has_sent_retained, _GOODBYE_SECONDS)
        self._open.close()
        self._thread.stop(lambda: self._inbox.put(self._stop))

    def connect(self) -> None:
        """Start connecting; never waits for the broker.

        Subscribe before: commands that the broker has kept come at once. `status` becomes `online` at each connection
        when the broker has answered the subscription to the commands. A refusal is reported, and does not prevent it.
        """
        self.publish_retained(self._topics.status, ONLINE)
        self._open.enter_context(self._connection)
        self._open.enter_context(self._inbound)

    def send(self, message: dict[str, Any]) -> None:
        """Queue an event message for delivery; returns at once."""
        with self._progress:
            self._unstored += 1
        self._inbox.put(partial(self._store, message, self._clock.stamp()))

    def publish_state(self, name: str, *payloads: bytes | str) -> None:
        """Publish a retained message at `earshot/<node_id>/<name>`, now and after each connection.

        Any thread; returns at once. While the broker is away, only the last payload of a topic is kept.

        Args:
            name: name of the state.
            payloads: the payload, then smaller ones for a broker that limits the size of packets.
        """
        self.publish_retained(self._topics.state(name), *payloads)

    def publish_retained(self, topic: str, *payloads: bytes | str) -> None:
        """Publish like `publish_state`, at a full topic, such as Home Assistant's discovery."""
        self._retained.set(topic, *(each.encode() if isinstance(each, str) else each for each in payloads))
        self._inbox.put(lambda: None)  # only wakes the publisher's thread

    def publish_live(self, payload: bytes) -> None:
        """Publish live values at QoS 0, not retained: now, or never if the broker is away or slow; any thread."""
        self._inbox.put(partial(self._delivery.send_live, payload))

    def retry_refused(self) -> None:
        """Send what the broker has refused again, because its rules may have changed; any thread."""
        self._inbox.put(self._delivery.retry_refused)
        self._inbox.put(self._subscriptions.retry)

    def subscribe_commands(self, handler: Handler) -> None:
        """Call `handler(name, payload)` for each `command/<name>`, one at a time, on a thread of its own."""
        prefix = self._topics.command

        def handle(topic: str, payload: bytes) -> None:
            handler(topic.removeprefix(prefix), payload)

        self._subscribe(self._topics.all_commands, handle, accept_retained=False)

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """Call `handler(topic, payload)` for each message that matches, on the thread of the commands."""
        self._subscribe(topic_filter, handler, accept_retained=True)

    def unsubscribe(self, topic_filter: str) -> None:
        """Cancel a subscription; any thread."""
        self._inbound.remove(topic_filter)
        self._inbox.put(partial(self._subscriptions.unsubscribe, topic_filter))

    def status(self) -> DeliveryStatus:
        """Return the state of delivery; any thread."""
        at = self._delivery.acknowledged_at
        return DeliveryStatus(
            connected=self._delivery.client is not None,
            connections=self._connections,
            last_fault=self._last_fault,
            faults=self._faults.sentences(),
            acknowledged_seconds_ago=None if at is None else time.monotonic() - at,
            commands_dropped=self._inbound.dropped,
            outbox=self._outbox.status(),
        )

    def silent_seconds(self) -> float:
        """Return how long the publisher's thread has made no progress, s: the outbox hangs. Used from one thread."""
        return self._probe.silent_seconds()

    def wait_delivered(self, timeout: float) -> int:
        """Wait until the broker has acknowledged every event message, at most `timeout` seconds.

        Returns:
            Number of messages without acknowledgement.
        """
        with self._progress:
            self._progress.wait_for(lambda: self._undelivered() == 0, timeout)
            return self._undelivered()

    # Callbacks of the connection, called on its thread: see `ConnectionObserver`.

    def on_connect(self, client: paho.Client, limits: BrokerLimits) -> None:
        """See `ConnectionObserver`."""
        self._connections += 1
        _LOGGER.info("connected to the broker %s", self._broker)
        self._inbox.put(partial(self._begin, client, limits))

    def on_disconnect(self, client: paho.Client, *, by_message: bool) -> None:
        """See `ConnectionObserver`."""
        self._inbox.put(partial(self._end, client, by_message=by_message))

    def on_fault(self, fault: str, seconds: float) -> None:
        """See `ConnectionObserver`."""
        self._last_fault = f"broker {self._broker} {fault}"
        if seconds > _STABLE_SECONDS:
            self._log_throttle.reset()
        self._log_throttle.warning(f"{self._last_fault}. Meanwhile, events are kept in the outbox")

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""
        self._inbox.put(partial(self._delivery.on_acknowledge, client, mid, reason))

    def on_subscribe(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """See `ConnectionObserver`."""
        self._inbox.put(partial(self._subscriptions.on_answer, client, mid, reason))

    def on_message(self, message: paho.MQTTMessage) -> None:
        """See `ConnectionObserver`."""
        self._inbound.put(message)

    # The methods below run on the publisher's thread.

    def _work(self) -> None:
        pause = 0.0
        while self._running:
            for job in self._inbox.take(min(pause, RETRY_SECONDS)):
                job()
            # `online` comes before all other messages, and after the subscription to the commands.
            waits = 0.0 if self._is_leaving else self._subscriptions.wait_seconds(self._topics.all_commands)
            pause = waits or self._delivery.process()
            self._subscriptions.end_pause()
            with self._progress:
                self._progress.notify_all()

    def _store(self, message: dict[str, Any], created: Stamp) -> None:
        try:
            self._delivery.enqueue(message, created)
        finally:
            with self._progress:
                self._unstored -= 1

    def _begin(self, client: paho.Client, limits: BrokerLimits) -> None:
        self._delivery.on_connect(client, limits)
        self._subscriptions.begin(client)

    def _end(self, client: paho.Client, *, by_message: bool) -> None:
        self._delivery.on_disconnect(client, by_message=by_message)
        self._subscriptions.end()

    def _undelivered(self) -> int:
        return self._unstored + len(self._outbox)

    def _subscribe(self, topic_filter: str, handler: Handler, *, accept_retained: bool) -> None:
        self._inbound.add(topic_filter, handler, accept_retained=accept_retained)
        self._inbox.put(partial(self._subscriptions.subscribe, topic_filter))

    def _stop(self) -> None:
        self._running = False
