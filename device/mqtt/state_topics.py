"""State topics, retained: state of each name and of all, spectrogram, unknown sounds, Home Assistant's discovery."""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from device.config.models import HomeAssistantConfig
from device.mqtt.home_assistant import (
    DeviceInfo,
    device_id,
    discovery_message,
    discovery_topic,
    essential_discovery,
    without_details,
)
from device.mqtt.home_assistant_entities import OptionalStates
from device.mqtt.messages import LABEL_STATES, encode
from device.mqtt.publisher import Publisher
from device.mqtt.spectrogram_image import encode_coarse_png
from device.types import ClassifiedWindow, Event, GateReason, LogMel, Observer, Refusal, SoundName
from device.util.json_store import JsonStore
from device.util.version import earshot_version

_UNKNOWN, _CLIP = "unknown/last", "clip/last"
_UNKNOWN_PROBABILITY = 0.2
"""Least probability of an AudioSet class that is published for an unknown sound."""
_UNKNOWN_SECONDS = 10.0
"""Shortest time between two publications for unknown sounds."""


_TopicPart = Annotated[str, Field(pattern=r"^[^+#\x00]+$", max_length=1000)]
"""Text that a topic may contain: a client raises an error for any other."""


class PublishedDiscovery(BaseModel):
    """Discovery as published so far, by this run or an earlier one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: _TopicPart | None = None
    """Topic of the discovery message; None if it is disabled."""
    components: dict[str, str] = {}
    """All components published so far, key -> platform."""
    labels: tuple[_TopicPart, ...] = ()
    """All labels, and slugs of AudioSet classes, with a published state so far."""
    unknown: bool = False
    """True if the last run published unknown sounds."""
    clips: bool = False
    """True if the last run published clips."""


class StateTopics(Observer):
    """Observer that publishes the state of each name, the last event's spectrogram, and the last unknown sound.

    Args:
        publisher: publishes the retained messages.
        node_id: of this device.
        names: labels of the bundle, taught labels, and the AudioSet classes that become events.
        bundle: name@version.
        encode_spectrogram: returns the PNG of a log-mel; None if no spectrograms are published.
        states: states that depend on the settings.
    """

    def __init__(
        self,
        publisher: Publisher,
        node_id: str,
        names: Sequence[SoundName],
        bundle: str,
        encode_spectrogram: Callable[[LogMel], bytes] | None,
        states: OptionalStates,
    ) -> None:
        self._publisher = publisher
        self._node_id = node_id
        self._names = tuple(names)
        self._bundle = bundle
        self._encode_spectrogram = encode_spectrogram
        self._log_mel: LogMel | None = None
        self._spectrogram_is_due = False
        self._states = states
        self._unknown_time: float | None = None
        self._sounding: set[str] = set()
        publisher.publish_state("sounding", "OFF")
        for name in self._names:  # an earlier run may have been killed during an event
            publisher.publish_state(f"sound/{name.slug}", "OFF")
        if encode_spectrogram is None:
            publisher.publish_state("spectrogram", b"")
        if states.level_calibrated is None:
            publisher.publish_state("level", b"")

    def publish_discovery(
        self, config: HomeAssistantConfig, store: JsonStore[PublishedDiscovery], page_url: str | None = None
    ) -> None:
        """Publish the node's discovery, or delete it if disabled; delete the states of names of earlier runs.

        Args:
            config: whether discovery is enabled, and its prefix.
            store: discovery of earlier runs; it is updated.
            page_url: address of the page `earshot web`; None without one.
        """
        published = store.content
        topic = discovery_topic(config.discovery_prefix, self._node_id)
        slugs = {name.slug for name in self._names}
        for slug in set(published.labels) - slugs:
            for state in LABEL_STATES:
                self._publisher.publish_state(f"{state}/{slug}", b"")
        if published.unknown and not self._states.unknown:
            self._publisher.publish_state(_UNKNOWN, b"")
        if published.clips and not self._states.clips:
            self._publisher.publish_state(_CLIP, b"")
        # The message of a former node_id may be that of another device now: see former_node.
        own_topic = published.topic if (published.topic or "").endswith(f"/{device_id(self._node_id)}/config") else None
        if own_topic is not None and (own_topic != topic or not config.enabled):
            self._publisher.publish_retained(own_topic, b"")
        components = published.components
        if config.enabled:
            components = self._publish_device(topic, config, components, page_url)
        store.update(
            topic=topic if config.enabled else None,
            components=components,
            labels=sorted({*published.labels, *slugs}),
            unknown=self._states.unknown,
            clips=self._states.clips,
        )

    def _publish_device(
        self, topic: str, config: HomeAssistantConfig, published: dict[str, str], page_url: str | None
    ) -> dict[str, str]:
        """Publish the discovery message, now and at each start of Home Assistant; return all components so far."""
        message = discovery_message(
            DeviceInfo(self._node_id, earshot_version(), self._bundle, page_url),
            self._names,
            published=published,
            states=self._states,
            language=config.language,
        )
        payloads = [encode(each) for each in (message, without_details(message), essential_discovery(message))]

        def on_birth(_topic: str, status: bytes) -> None:
            if status == b"online":
                self._publisher.publish_retained(topic, *payloads)

        self._publisher.publish_retained(topic, *payloads)
        self._publisher.subscribe(f"{config.discovery_prefix}/status", on_birth)
        return {key: component["platform"] for key, component in message["components"].items()}

    def on_block(self, seconds: float, gate: GateReason | None) -> None:
        """Publish the spectrogram of an event that has started: its picture does not delay the event itself."""
        del seconds, gate
        self._publish_due_spectrogram()

    def on_window(self, window: ClassifiedWindow) -> None:
        """Keep the log-mel for an event that starts with this window, or has started before."""
        self._log_mel = window.log_mel

    def on_look(self, look: ClassifiedWindow) -> None:
        """Forget the log-mel: an event that starts with a look has the spectrogram of its first full window."""
        del look
        self._log_mel = None

    def on_refusal(self, refusal: Refusal) -> None:
        """Publish the AudioSet class that an unknown sound resembles most, at most every 10 s of sound."""
        if not self._states.unknown or refusal.reason != "unknown" or not refusal.audioset:
            return
        name, probability = refusal.audioset[0]
        is_due = self._unknown_time is None or not 0 <= refusal.time - self._unknown_time < _UNKNOWN_SECONDS
        if probability >= _UNKNOWN_PROBABILITY and is_due:
            self._unknown_time = refusal.time
            self._publisher.publish_state(_UNKNOWN, name)

    def on_event(self, event: Event) -> None:
        """Publish the state of the event's name and of all names. The spectrogram of a start follows."""
        starts = event.end_time is None
        self._publisher.publish_state(f"sound/{event.slug}", "ON" if starts else "OFF")
        (self._sounding.add if starts else self._sounding.discard)(event.slug)
        self._publisher.publish_state("sounding", "ON" if self._sounding else "OFF")
        if starts:
            self._spectrogram_is_due = True
        else:
            self._publish_due_spectrogram()

    def _publish_due_spectrogram(self) -> None:
        if not self._spectrogram_is_due or self._log_mel is None:
            return
        self._spectrogram_is_due = False
        if self._encode_spectrogram is not None:
            picture = self._encode_spectrogram(self._log_mel)
            self._publisher.publish_state("spectrogram", picture, encode_coarse_png(self._log_mel))
