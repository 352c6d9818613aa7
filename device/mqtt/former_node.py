"""Former nodes: after a change of `node_id`, the retained messages under the old one are deleted."""

import logging

from pydantic import BaseModel, ConfigDict

from device.mqtt.messages import OFFLINE, Topics
from device.mqtt.publisher import Publisher
from device.mqtt.retained_topics import RetainedTopics
from device.util.json_store import JsonStore

_LOGGER = logging.getLogger(__name__)


class KnownNode(BaseModel):
    """Node ids under which this device has published.

    Attributes:
        node_id: of the last run; None before the first.
        former: node ids whose retained messages are not deleted yet.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    node_id: str | None = None
    former: tuple[str, ...] = ()


def delete_former_nodes(publisher: Publisher, node_id: str, discovery_prefix: str, store: JsonStore[KnownNode]) -> None:
    """Delete the retained messages of former node ids, as soon as the broker reports these nodes as offline.

    Args:
        publisher: of the current node.
        node_id: the current one.
        discovery_prefix: topic prefix of Home Assistant's discovery.
        store: node ids of earlier runs; it is updated.
    """
    known = store.content
    former = dict.fromkeys((*known.former, *([known.node_id] if known.node_id is not None else [])))
    former.pop(node_id, None)
    store.update(node_id=node_id, former=tuple(former))
    for each in former:
        _FormerNode(publisher, each, discovery_prefix, store).watch()


class _FormerNode:
    """One former node id, until its messages are deleted, or another device proves to use it.

    A copied SD card brings along the node id of another device, whose messages must stay. Its `status` is `online`, and
    it publishes a health message every minute; the first one may be an old one that the broker has kept. Used from the
    commands' thread.
    """

    def __init__(self, publisher: Publisher, node_id: str, prefix: str, store: JsonStore[KnownNode]) -> None:
        self._publisher = publisher
        self._node_id = node_id
        self._topics = Topics(node_id)
        self._retained = RetainedTopics(node_id, prefix)
        self._store = store
        self._reports: set[bytes] = set()
        self._is_deleting = False

    def watch(self) -> None:
        """Wait for the status of the node."""
        self._publisher.subscribe(self._topics.status, self._on_status)
        self._publisher.subscribe(self._topics.state("health"), self._on_health)

    def _on_status(self, _topic: str, status: bytes) -> None:
        if status == OFFLINE and not self._is_deleting:
            self._is_deleting = True
            _LOGGER.info("the retained messages of the former node_id %s are deleted", self._node_id)
            for topic_filter in self._retained.filters:
                self._publisher.subscribe(topic_filter, self._delete)
        elif not status and self._is_deleting:  # the deletion, as the last message of all
            self._end()

    def _on_health(self, _topic: str, report: bytes) -> None:
        if report and not self._is_deleting:
            self._reports.add(report)  # a kept one may arrive several times
        if len(self._reports) > 1:
            _LOGGER.warning(
                "another device publishes as %s, the former node_id of this one, so its messages stay", self._node_id
            )
            self._end()

    def _delete(self, topic: str, payload: bytes) -> None:
        if payload and self._retained.add(topic, payload):
            self._publisher.publish_retained(topic, b"")

    def _end(self) -> None:
        for topic_filter in (self._topics.status, self._topics.state("health"), *self._retained.filters):
            self._publisher.unsubscribe(topic_filter)
        self._store.update(former=tuple(each for each in self._store.content.former if each != self._node_id))
