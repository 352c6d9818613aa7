"""Event view: one event with its scores, its clip, and the spectrogram of the clip."""

import re
from dataclasses import dataclass
from typing import Any

from device.audio.files import read_samples
from device.clips.store import Clip, ClipFolder
from device.errors import InputError
from device.history.reader import HistoryReader
from device.model.features import FeatureConfig, log_mel
from device.mqtt.spectrogram_image import encode_png

_EVENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RATE = 16_000
"""Sample rate of the spectrogram, Hz."""


@dataclass(frozen=True)
class EventView:
    """One event.

    Attributes:
        message: its `end` message.
        scores: label and score, the highest first.
        clip: its recording; None without one.
    """

    message: dict[str, Any]
    scores: list[tuple[str, float]]
    clip: Clip | None


def is_event_id(text: str) -> bool:
    """Return True for the form of an event id. Anything else is neither searched for nor part of a path."""
    return _EVENT_ID.fullmatch(text) is not None


def view_event(reader: HistoryReader, folder: ClipFolder, event_id: str) -> EventView | None:
    """Return an event of the history; None if it is not there."""
    message = reader.event(event_id)
    if message is None:
        return None
    scores = sorted(message.get("scores", {}).items(), key=lambda item: -item[1])
    return EventView(message, scores, find_clip(folder, event_id))


def find_clip(folder: ClipFolder, event_id: str) -> Clip | None:
    """Return the clip of an event; None without one."""
    try:
        return folder.find(event_id)
    except LookupError:
        return None


def clip_spectrogram(clip: Clip) -> bytes | None:
    """Return the spectrogram of a clip as PNG, with the log-mel of the default features; None without its sound."""
    try:
        samples = read_samples(clip.path, _RATE)
    except InputError:  # deleted meanwhile, or damaged
        return None
    try:
        features = FeatureConfig(window_seconds=len(samples) / _RATE)
    except ValueError:  # shorter than a frame, or longer than any clip
        return None
    return encode_png(log_mel(samples, features))
