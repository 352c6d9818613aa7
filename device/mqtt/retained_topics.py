"""Retained topics of a node at the broker: their deletion, unless the node is online."""

from collections.abc import Iterable

from device.config.models import MqttConfig
from device.errors import InputError, UnavailableError
from device.mqtt.broker_session import BrokerSession
from device.mqtt.home_assistant import discovery_topic
from device.mqtt.messages import ONLINE, Topics

_ARRIVAL_SECONDS = 5.0
"""Longest time for the retained messages to arrive, s."""


class RetainedTopics:
    """Topics of a node with a retained message, as the broker sends them to a subscriber.

    Args:
        node_id: of the node.
        discovery_prefix: topic prefix of Home Assistant's discovery.
    """

    def __init__(self, node_id: str, discovery_prefix: str) -> None:
        self._topics = Topics(node_id)
        self._discovery = discovery_topic(discovery_prefix, node_id)
        self.filters = (self._topics.all, self._discovery)
        self._payloads: dict[str, bytes] = {}

    def add(self, topic: str, payload: bytes) -> bool:
        """Record a message; return False for an event message or a command, which is not retained."""
        if topic == self._topics.event or topic.startswith((f"{self._topics.event}/", self._topics.command)):
            return False
        if payload:
            self._payloads[topic] = payload
        else:
            self._payloads.pop(topic, None)
        return True

    @property
    def status(self) -> bytes | None:
        """Payload of `status`; None if none has arrived."""
        return self._payloads.get(self._topics.status)

    def to_delete(self) -> list[str]:
        """Return all topics, `status` as the last one."""
        return sorted(self._payloads, key=lambda topic: topic == self._topics.status)


def forget_node(config: MqttConfig, password: str | None, node_id: str, discovery_prefix: str) -> int:
    """Delete the retained messages of a node that no longer exists, and its device in Home Assistant.

    Returns:
        Number of deleted messages.

    Raises:
        InputError: the broker has no retained message of this node.
        UnavailableError: no connection, the node is online, or the broker refuses something.
    """
    retained = RetainedTopics(node_id, discovery_prefix)
    with BrokerSession(config, password) as session:
        _raise_faults(session.subscribe(topic_filter) for topic_filter in retained.filters)
        session.wait_for_quiet(_ARRIVAL_SECONDS)
        for message in session.messages:
            retained.add(message.topic, bytes(message.payload))
        if retained.status == ONLINE:
            raise UnavailableError(
                f"{node_id} is online. Stop its daemon first, or wait until its keep-alive interval is over"
            )
        topics = retained.to_delete()
        if not topics:
            raise InputError(
                f"{node_id}: the broker {config.host}:{config.port} has no retained message of this node, or this user "
                "may not read it. Check the name"
            )
        _raise_faults(session.publish(topic, b"", retain=True) for topic in topics)
    return len(topics)


def _raise_faults(faults: Iterable[str]) -> None:
    if found := [fault for fault in faults if fault]:
        raise UnavailableError("\n".join(dict.fromkeys(found)))
