"""Kept clips: sounds of events on this device, as negatives and for a count of what a taught label would detect.

A clip that the user corrected is a negative of every other label. A clip that nobody corrected may be the very sound
that is taught: it is only counted.
"""

from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path

from device.clips.store import Clip, ClipFolder
from device.errors import InputError
from device.teaching.negatives import Negatives, as_negatives
from device.teaching.teaching_clip import TeachingClip

_MOST = 40
"""Largest number of corrected clips that are read, and of others: the newest. It bounds the time of a lesson."""


class KeptClips:
    """Clips of a state directory, read once.

    Args:
        folder: stores the clips.
        read: reads a clip from its path and name; it raises InputError.
    """

    def __init__(self, folder: ClipFolder, read: Callable[[Path, str], TeachingClip]) -> None:
        self._folder, self._read = folder, read

    def negatives(self, name: str, given: Collection[str]) -> list[Negatives]:
        """Return the clips corrected to other labels than `name`, without those of the hashes `given`."""
        return [
            as_negatives(f"clips corrected to {label}", [(clip.origin.name, clip.embeddings)])
            for label, clip in self._corrected
            if label != name and clip.origin.sha256 not in given
        ]

    def of_label(self, name: str) -> list[TeachingClip]:
        """Return the clips corrected to a label."""
        return [clip for label, clip in self._corrected if label == name]

    def uncorrected(self, name: str, given: Collection[str]) -> list[TeachingClip]:
        """Return the other clips, without those of events of `name` and those of the hashes `given`."""
        return [clip for label, clip in self._recent if label != name and clip.origin.sha256 not in given]

    @cached_property
    def _corrected(self) -> list[tuple[str, TeachingClip]]:
        return self._newest([clip for clip in self._folder.clips() if clip.corrected])

    @cached_property
    def _recent(self) -> list[tuple[str, TeachingClip]]:
        return self._newest([clip for clip in self._folder.clips() if not clip.corrected])

    def _newest(self, clips: list[Clip]) -> list[tuple[str, TeachingClip]]:
        """Return label and content of the newest clips, without those that are silent, damaged or just deleted."""
        found = list[tuple[str, TeachingClip]]()
        for clip in clips[-_MOST:]:
            try:
                found.append((clip.label, self._read(clip.path, clip.event_id)))
            except InputError:
                continue
        return found
