"""The publisher: from the outbox to the broker, and out of the outbox once the broker has confirmed."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from device.config import MqttConfig
from device.mqtt.messages import OFFLINE, ONLINE, Topics, encode
from device.outbox import Entry, Outbox

_LOGGER = logging.getLogger(__name__)

_IN_FLIGHT = 20
"""Messages that may be unconfirmed at a time."""
_RETRY_SECONDS = 30
"""Longest pause between two attempts to connect."""
_GOODBYE_SECONDS = 2.0
"""How long the last status may take."""


class Publisher:
    """Publishes event messages in their order, at QoS 1, in the background; a context manager.

    One thread of ours owns the outbox: each thing that happens (a message to send, a confirmation from the
    broker, a connection) is a job in its inbox. paho's thread talks to the network. A broker that is away is
    normal: messages wait in the outbox, and those that waited long go to `event/backlog`.

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
        self._stored_at: dict[int, float] = {}
        self._in_flight: dict[int, int] = {}
        self._sent_up_to = 0
        self._complained = False
        self._waiting = len(outbox)
        self._delivered = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._client = self._make_client(password, f"earshot-{node_id}")

    def __enter__(self) -> Self:
        """Start connecting; never waits for the broker."""
        self._thread.start()
        self._client.connect_async(self._config.host, self._config.port, self._config.keepalive_seconds)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        """Store what is still to be stored, say `offline`, and leave."""
        self._inbox.put(None)
        self._thread.join()
        if self._client.is_connected():
            self._client.publish(self._topics.status, OFFLINE, qos=1, retain=True).wait_for_publish(_GOODBYE_SECONDS)
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, message: dict[str, Any]) -> None:
        """Take an event message; returns at once, the rest happens in the background."""
        with self._delivered:
            self._waiting += 1
        self._inbox.put(partial(self._store, message))

    def wait_delivered(self, timeout: float) -> int:
        """Wait until the broker has confirmed everything, at most `timeout` seconds; gives how many still wait."""
        with self._delivered:
            self._delivered.wait_for(lambda: self._waiting == 0, timeout)
            return self._waiting

    def _work(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                job()
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
        self._fill()

    def _fill(self) -> None:
        """Hand over what waits, oldest first, as far as the broker is there and keeps up."""
        if not self._client.is_connected():
            return
        for entry in self._outbox.after(self._sent_up_to, _IN_FLIGHT - len(self._in_flight)):
            topic, payload = self._address(entry)
            info = self._client.publish(topic, payload, qos=1)
            if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
                return
            # With no connection paho keeps it, and sends it with the next one.
            self._in_flight[info.mid] = entry.sequence
            self._sent_up_to = entry.sequence

    def _address(self, entry: Entry) -> tuple[str, bytes]:
        """Topic and payload: what happened just now is live; the rest must not fire anyone's lights."""
        stored_at = self._stored_at.get(entry.sequence)
        if stored_at is not None and time.monotonic() - stored_at <= self._config.live_seconds:
            return self._topics.event, encode(entry.message)
        return self._topics.backlog, encode(entry.message | {"replayed": True})

    def _confirmed(self, mid: int) -> None:
        sequence = self._in_flight.pop(mid, None)
        if sequence is None:
            return  # the status message
        self._outbox.delete(sequence)
        self._stored_at.pop(sequence, None)
        self._count_down()
        self._fill()

    def _count_down(self) -> None:
        with self._delivered:
            self._waiting -= 1
            self._delivered.notify_all()

    def _make_client(self, password: str | None, client_id: str) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if self._config.username is not None:
            client.username_pw_set(self._config.username, password)
        client.will_set(self._topics.status, OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(min_delay=1, max_delay=_RETRY_SECONDS)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    # What follows runs on paho's thread.

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._complain(f"refuses the connection ({reason}). Check mqtt.username and mqtt.password_file")
            return
        self._complained = False
        _LOGGER.info("connected to the broker %s:%d", self._config.host, self._config.port)
        client.publish(self._topics.status, ONLINE, qos=1, retain=True)
        self._inbox.put(self._fill)

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._complain("does not answer. Start it, or set mqtt.host and mqtt.port")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._complain(f"is gone ({reason})")

    def _on_publish(self, _client: paho.Client, _data: Any, mid: int, _reason: ReasonCode, _properties: Any) -> None:
        self._inbox.put(partial(self._confirmed, mid))

    def _complain(self, what: str) -> None:
        """Say once that the broker is away; the next line is due when it is back."""
        if not self._complained:
            _LOGGER.warning(
                "broker %s:%d %s. Events wait in the outbox meanwhile",
                self._config.host,
                self._config.port,
                what,
            )
        self._complained = True
