"""The last clip with its label, on the topic `clip/last`, so that the label can be corrected."""

from device.clips.store import ClipFolder
from device.mqtt.messages import SCHEMA, encode
from device.types import PublishState


class LastClip:
    """Event and label of the last clip, published at the start, with each clip and at its correction. Any thread.

    Args:
        node_id: of this device.
        clips: the clips.
        publish_state: publishes a retained state: name, payload.
        enabled: whether clips are kept; otherwise nothing is published.
    """

    def __init__(self, node_id: str, clips: ClipFolder, publish_state: PublishState, *, enabled: bool) -> None:
        self._node_id = node_id
        self._clips = clips
        self._publish_state = publish_state
        self._event_id: str | None = None
        if enabled:
            self._publish(*self._stored())

    def on_saved(self, event_id: str, label: str) -> None:
        """Publish a clip that was saved.

        Args:
            event_id: UUIDv7 of its event.
            label: slug of its event.
        """
        self._publish(event_id, label)

    def correct(self, event_id: str, label: str) -> None:
        """File a clip under its right label, see `ClipFolder.relabel`; publish the label if it is the last clip.

        Raises:
            LookupError: the event has no clip.
        """
        self._clips.relabel(event_id, label)
        if event_id == self._event_id:
            self._publish(event_id, label)

    def _stored(self) -> tuple[str | None, str | None]:
        """Return event and label of the last stored clip; None twice without one."""
        try:
            stored = self._clips.clips()
        except OSError:  # a fault of the disk, which the recorder reports
            stored = []
        return (stored[-1].event_id, stored[-1].label) if stored else (None, None)

    def _publish(self, event_id: str | None, label: str | None) -> None:
        self._event_id = event_id
        message = {"schema": SCHEMA, "node_id": self._node_id, "event_id": event_id, "label": label}
        self._publish_state("clip/last", encode(message))
