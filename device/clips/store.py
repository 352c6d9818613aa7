"""Clips: the sound of events, kept on this machine only, so that its user can say what they really were.

clips/recent/<heard label>/<time>_<event id>.flac     as the network heard them; bounded, the oldest go first
clips/corrected/<right label>/...                     as the user says: what `earshot-train retrain --data` takes
clips/none/...                                        none of the labels: what its `--negatives` takes
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

import soundfile

from device.config.models import ClipsConfig
from device.errors import InputError, UnavailableError
from device.types import Samples

_LOGGER = logging.getLogger(__name__)

RECENT, CORRECTED, NONE = "recent", "corrected", "none"

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<time>\d{8}T\d{6}Z)_(?P<event_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.flac")
_DAY_SECONDS = 86400


@dataclass(frozen=True)
class Clip:
    """A sound file of one event.

    Attributes:
        path: the file.
        event_id: of the event.
        time: its start, Unix seconds.
        label: as heard where it is recent, else as corrected; `none` for none of the labels.
        corrected: whether its user has said what it is.
    """

    path: Path
    event_id: str
    time: float
    label: str
    corrected: bool


class ClipFolder:
    """The clips of a node; used from any thread.

    Args:
        folder: made with the first clip.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def clips(self) -> list[Clip]:
        """All of them, oldest first; files of another name are not ours."""
        return sorted(self._clips(), key=lambda clip: (clip.time, clip.event_id))

    def find(self, event_id: str) -> Clip:
        """The clip of an event.

        Raises:
            LookupError: there is none.
        """
        for clip in self._clips():
            if clip.event_id == event_id:
                return clip
        raise LookupError(
            f"no clip of the event {event_id} is kept. Clips are kept from clips.enabled on, of events that have ended"
        )

    def keep(self, event_id: str, start_time: float, label: str, samples: Samples, sample_rate: int) -> None:
        """Write a clip as FLAC.

        Args:
            event_id: of the event.
            start_time: of the event, Unix seconds.
            label: as heard.
            samples: shape (n,), int16.
            sample_rate: Hz.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        name = f"{datetime.fromtimestamp(start_time, UTC).strftime(_TIME_FORMAT)}_{event_id}.flac"
        path = self.folder / RECENT / label / name
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")  # no clip yet, should the power fail
            try:
                soundfile.write(beside, samples, sample_rate, format="FLAC", subtype="PCM_16")
                beside.replace(path)
            except (soundfile.LibsndfileError, OSError) as error:
                beside.unlink(missing_ok=True)
                raise OSError(f"{path}: {error}") from error

    def correct(self, event_id: str, label: str) -> None:
        """File a clip under what it really is; one that was corrected before may be corrected again.

        Args:
            event_id: of the event.
            label: names a folder; `none` for none of the labels.

        Raises:
            LookupError: there is no clip of the event.
        """
        with self._lock:
            clip = self.find(event_id)
            folder = self.folder / NONE if label == NONE else self.folder / CORRECTED / label
            folder.mkdir(parents=True, exist_ok=True)
            clip.path.replace(folder / clip.path.name)
        _LOGGER.info("the event %s, heard as %s, is filed as %s in %s", event_id, clip.label, label, folder)

    def bound(self, config: ClipsConfig) -> None:
        """Delete recent clips, oldest first, until what is left is within the bounds.

        Clips that were corrected are their user's work: they count as bytes but are never deleted here.
        """
        with self._lock:
            clips = self.clips()
            recent = [clip for clip in clips if not clip.corrected]
            sizes = {clip.path: clip.path.stat().st_size for clip in clips}
            total, oldest_time = sum(sizes.values()), time.time() - config.maximum_days * _DAY_SECONDS
            for left, clip in zip(range(len(recent), 0, -1), recent, strict=True):
                if (
                    left <= config.maximum_count
                    and total <= config.maximum_megabytes * 1_000_000
                    and clip.time >= oldest_time
                ):
                    break
                total -= sizes[clip.path]
                clip.path.unlink(missing_ok=True)

    def purge(self, *, corrected: bool) -> int:
        """Delete the recent clips, and the corrected ones too if asked; gives how many."""
        with self._lock:
            clips = [clip for clip in self.clips() if corrected or not clip.corrected]
            for clip in clips:
                clip.path.unlink(missing_ok=True)
        return len(clips)

    def export(self, target: Path) -> int:
        """Copy the corrected clips, in their folders, to where a trainer can take them; gives how many.

        Raises:
            InputError: nothing was corrected yet.
            UnavailableError: the target cannot be written.
        """
        clips = [clip for clip in self.clips() if clip.corrected]
        if not clips:
            raise InputError(f"{self.folder}: no clip was corrected yet. Say what events were with command/correct")
        try:
            for clip in clips:
                copy = target / clip.path.relative_to(self.folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(clip.path, copy)
        except OSError as error:
            raise UnavailableError(f"{target}: cannot be written ({error.strerror}). Name another folder") from error
        return len(clips)

    def _clips(self) -> Iterator[Clip]:
        for path in self.folder.glob("**/*.flac"):
            if name := _NAME.fullmatch(path.name):
                time_ = datetime.strptime(name["time"], _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
                kind, *_ = path.relative_to(self.folder).parts
                yield Clip(path, name["event_id"], time_, path.parent.name, corrected=kind != RECENT)
