"""Remote teaching: lessons by MQTT commands, from kept clips, on the thread of the commands.

The first command loads the modules of lessons. Most daemons receive none, and save their memory.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from device.clips.store import ClipFolder
from device.errors import EarshotError
from device.model.bundle import Bundle
from device.model.taught import TaughtSounds

_LOGGER = logging.getLogger(__name__)


class RemoteTeaching:
    """Lessons of a run. What they change is used after the reload that follows by itself.

    Args:
        state: state directory.
        bundle: of the run. Each lesson loads its network anew, because that of the run belongs to another thread.
        clips: kept clips.
        taught: detectors of the run.
        classes: AudioSet classes of `events.audioset`.
    """

    def __init__(
        self, state: Path, bundle: Bundle, clips: ClipFolder, taught: TaughtSounds, classes: Iterable[str]
    ) -> None:
        self._state, self._bundle, self._clips, self._taught = state, bundle, clips, taught
        self._classes = tuple(classes)
        self._refusal: str | None = None

    def teach(self, name: str, event_ids: Sequence[str], *, is_exclusion: bool) -> None:
        """Learn a sound from the clips of events.

        Raises:
            LookupError: an event has no clip.
            EarshotError: the lesson is refused.
        """
        from device.teaching.library import ClipFile, TaughtLibrary
        from device.teaching.report import describe

        try:
            files = [ClipFile(self._clips.find(event_id).path, event_id) for event_id in event_ids]
            library = TaughtLibrary(self._state, self._bundle)
            sound = library.teach(name, files, self._classes, is_exclusion=is_exclusion)
        except (EarshotError, LookupError) as error:
            self._refusal = str(error.args[0])
            raise
        self._refusal = None
        _LOGGER.info("%s", describe(sound))

    def forget(self, name: str) -> None:
        """Remove a taught label.

        Raises:
            EarshotError: it was not taught, or the file cannot be written.
        """
        from device.teaching.library import TaughtLibrary

        TaughtLibrary(self._state, self._bundle).forget(name)
        _LOGGER.info("%s is no longer taught", name)

    def report(self) -> dict[str, object]:
        """Return this part of the health message."""
        return {
            "labels": sorted(self._taught.labels),
            "exclusions": sorted(self._taught.exclusions),
            "faults": list(self._taught.faults),
            "last_refusal": self._refusal,
        }
