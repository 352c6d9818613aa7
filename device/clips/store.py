"""Clip folder: sound files of events, on this machine only. Users correct their labels, and train with them.

clips/recent/<detected label>/<time>_<event id>.flac  label of the event; limited, the oldest are deleted first
clips/corrected/<right label>/...                     label from the user; input of `earshot-train retrain --data`
clips/none/...                                        none of the labels; input of its `--negatives`
"""

import logging
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from device.config.models import ClipsConfig
from device.errors import InputError, UnavailableError
from device.types import Samples
from device.util.units import MEGABYTE

_LOGGER = logging.getLogger(__name__)

RECENT, CORRECTED, NONE = "recent", "corrected", "none"

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<time>\d{8}T\d{6}Z)_(?P<event_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.flac")
_DAY_SECONDS = 86400


@dataclass(frozen=True)
class Clip:
    """Sound file of one event.

    Attributes:
        path: the file.
        event_id: UUIDv7 of the event.
        start_time: start of the event, Unix seconds.
        label: slug of the event, or the label from the user after a correction; `none` for none of the labels.
        corrected: whether the user has corrected it.
    """

    path: Path
    event_id: str
    start_time: float
    label: str
    corrected: bool


class ClipFolder:
    """Clips of a node. Any thread may use it.

    Args:
        folder: created with the first clip.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def clips(self) -> list[Clip]:
        """Return all clips, oldest first. Files with other names are ignored."""
        return sorted(self._clips(), key=lambda clip: (clip.start_time, clip.event_id))

    def find(self, event_id: str) -> Clip:
        """Return the clip of an event.

        Raises:
            LookupError: the event has no clip.
        """
        for clip in self._clips():
            if clip.event_id == event_id:
                return clip
        raise LookupError(
            f"no clip of the event {event_id} is stored. Set clips.enabled; a clip is written when its event ends"
        )

    def save(self, event_id: str, start_time: float, label: str, samples: Samples, sample_rate: int) -> None:
        """Write a clip as FLAC.

        Args:
            event_id: UUIDv7 of the event.
            start_time: start of the event, Unix seconds.
            label: slug of the event; name of the folder.
            samples: shape (n,), int16.
            sample_rate: Hz.

        Raises:
            OSError: the disk is full or not writable.
        """
        import soundfile  # 1 MB of memory, which a daemon without clips saves

        name = f"{datetime.fromtimestamp(start_time, UTC).strftime(_TIME_FORMAT)}_{event_id}.flac"
        path = self.folder / RECENT / label / name
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".new")  # renamed when complete: a power failure leaves no partial clip
            try:
                soundfile.write(unfinished, samples, sample_rate, format="FLAC", subtype="PCM_16")
                unfinished.replace(path)
            except (soundfile.LibsndfileError, OSError) as error:
                unfinished.unlink(missing_ok=True)
                raise OSError(f"{path}: {error}") from error

    def relabel(self, event_id: str, label: str) -> None:
        """Move a clip to the folder of its right label. A corrected clip can be corrected again.

        Args:
            event_id: UUIDv7 of the event.
            label: name of the folder; `none` for none of the labels.

        Raises:
            LookupError: the event has no clip.
        """
        with self._lock:
            clip = self.find(event_id)
            folder = self.folder / NONE if label == NONE else self.folder / CORRECTED / label
            folder.mkdir(parents=True, exist_ok=True)
            clip.path.replace(folder / clip.path.name)
        _LOGGER.info("clip of the event %s relabeled from %s to %s, in %s", event_id, clip.label, label, folder)

    def enforce_limits(self, config: ClipsConfig) -> None:
        """Delete recent clips, oldest first, until count, size and age are within the limits of the config.

        Corrected clips count as bytes, but they are never deleted here: correcting them was work.
        """
        with self._lock:
            clips = self.clips()
            recent = [clip for clip in clips if not clip.corrected]
            sizes = {clip.path: clip.path.stat().st_size for clip in clips}
            total, oldest_time = sum(sizes.values()), time.time() - config.maximum_days * _DAY_SECONDS
            for remaining, clip in zip(range(len(recent), 0, -1), recent, strict=True):
                if (
                    remaining <= config.maximum_count
                    and total <= config.maximum_megabytes * MEGABYTE
                    and clip.start_time >= oldest_time
                ):
                    break
                total -= sizes[clip.path]
                clip.path.unlink(missing_ok=True)

    def delete_clips(self, *, corrected: bool) -> int:
        """Delete the recent clips and, if `corrected`, the corrected ones as well; return the number of clips."""
        with self._lock:
            clips = [clip for clip in self.clips() if corrected or not clip.corrected]
            for clip in clips:
                clip.path.unlink(missing_ok=True)
        return len(clips)

    def export(self, target: Path) -> int:
        """Copy the corrected clips for the trainer, one folder a label; return the number of clips.

        Args:
            target: folder for the copies.

        Raises:
            InputError: no clip was corrected yet.
            UnavailableError: the target is not writable.
        """
        clips = [clip for clip in self.clips() if clip.corrected]
        if not clips:
            raise InputError(f"{self.folder}: no clip was corrected yet. Correct labels with command/correct")
        try:
            for clip in clips:
                copy = target / clip.path.relative_to(self.folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(clip.path, copy)
        except OSError as error:
            raise UnavailableError(f"{target}: not writable ({error.strerror}). Choose another folder") from error
        return len(clips)

    def _clips(self) -> Iterator[Clip]:
        for path in self.folder.glob("**/*.flac"):
            if name := _NAME.fullmatch(path.name):
                try:
                    start_time = datetime.strptime(name["time"], _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
                except ValueError:  # digits that are no time: not a file of ours
                    continue
                kind, *_ = path.relative_to(self.folder).parts
                yield Clip(path, name["event_id"], start_time, path.parent.name, corrected=kind != RECENT)
