"""What the broker keeps of a node: whether each label sounds, the last spectrogram, and Home Assistant's device."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict

from device.config.models import HomeAssistantConfig
from device.mqtt.home_assistant import discovery_message, discovery_topic
from device.mqtt.messages import encode
from device.mqtt.publisher import Publisher
from device.types import ClassifiedWindow, Event, LogMel, Observer
from device.util.json_store import JsonStore


class DiscoveryRecord(BaseModel):
    """What Home Assistant was told of the node, by this run or an earlier one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: str | None = None
    components: dict[str, str] = {}
    """All that ever were, key -> platform."""
    labels: tuple[str, ...] = ()
    """All that ever were published as states."""


class StateTopics(Observer):
    """Keeps the retained topics true to what is heard.

    Args:
        publisher: takes them.
        node_id: of this device.
        labels: of the bundle.
        bundle: name@version.
        draw: makes the picture of a log-mel; None for no pictures.
    """

    def __init__(
        self,
        publisher: Publisher,
        node_id: str,
        labels: Sequence[str],
        bundle: str,
        draw: Callable[[LogMel], bytes] | None,
    ) -> None:
        self._publisher = publisher
        self._node_id = node_id
        self._labels = tuple(labels)
        self._bundle = bundle
        self._draw = draw
        self._log_mel: LogMel | None = None
        for label in self._labels:  # an earlier run may have ended without a word
            publisher.state(f"sound/{label}", "OFF")
        if draw is None:
            publisher.state("spectrogram", b"")

    def announce(self, config: HomeAssistantConfig, remembered: JsonStore[DiscoveryRecord]) -> None:
        """Make the node a device of Home Assistant, or no more one; forget what earlier bundles could name.

        Args:
            config: whether, and where Home Assistant looks.
            remembered: what earlier runs announced.
        """
        announced = remembered.content
        topic = discovery_topic(config.discovery_prefix, self._node_id)
        for label in set(announced.labels) - set(self._labels):
            self._publisher.state(f"sound/{label}", b"")
            self._publisher.state(f"threshold/{label}", b"")
        if announced.topic is not None and (announced.topic != topic or not config.enabled):
            self._publisher.retain(announced.topic, b"")
        components = announced.components
        if config.enabled:
            components = self._make_device(topic, config, components)
        remembered.update(
            topic=topic if config.enabled else None,
            components=components,
            labels=sorted({*announced.labels, *self._labels}),
        )

    def _make_device(self, topic: str, config: HomeAssistantConfig, announced: dict[str, str]) -> dict[str, str]:
        """Publish the discovery message, now and whenever Home Assistant starts; gives all that ever were in one."""
        message = discovery_message(
            self._node_id,
            self._labels,
            version=version("earshot"),
            bundle=self._bundle,
            announced=announced,
            pictures=self._draw is not None,
        )
        payload = encode(message)

        def born(_topic: str, status: bytes) -> None:
            if status == b"online":
                self._publisher.retain(topic, payload)

        self._publisher.retain(topic, payload)
        self._publisher.subscribe(f"{config.discovery_prefix}/status", born)
        return {key: component["platform"] for key, component in message["components"].items()}

    def on_window(self, window: ClassifiedWindow) -> None:
        """Keep the log-mel, should an event come of it."""
        self._log_mel = window.log_mel

    def on_event(self, event: Event) -> None:
        """A label begins to sound, or ends."""
        begins = event.end_time is None
        self._publisher.state(f"sound/{event.label}", "ON" if begins else "OFF")
        if begins and self._draw is not None and self._log_mel is not None:
            self._publisher.state("spectrogram", self._draw(self._log_mel))
