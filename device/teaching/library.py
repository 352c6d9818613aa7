"""Library of taught sounds: the state directory's file, with the operations of commands, for one bundle."""

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from device.clips.store import ClipFolder
from device.errors import ConfigError, EarshotError, InputError, UnavailableError
from device.model.bundle import Bundle
from device.model.classifier import BaseNetwork
from device.model.taught import NOTHING_TAUGHT, TAUGHT_FILE, TaughtSounds
from device.teaching.embedder import Embedder
from device.teaching.taught_file import TaughtSound, read_taught, write_taught
from device.teaching.taught_names import PATTERNS, check_free, check_label
from device.teaching.teacher import Teacher
from device.teaching.teaching_clip import TeachingClip
from device.util.text import quoted

_LOGGER = logging.getLogger(__name__)
_MOST_SOUNDS = 50
"""Largest number of taught sounds: each of them is learned again with a new one."""


@dataclass(frozen=True)
class ClipFile:
    """Sound file that teaches a sound.

    Attributes:
        path: the file.
        name: name by which it is listed: of the file, or the event id of a kept clip.
    """

    path: Path
    name: str


class TaughtLibrary:
    """Taught sounds of a state directory, for one bundle. Used from one thread.

    Args:
        state: state directory.
        bundle: with the AudioSet network.
        network: that network, if it is loaded already.
        sounds: content of the file of taught sounds, if it is read already.

    Raises:
        ConfigError: the file is damaged, or the bundle has no AudioSet network.
    """

    def __init__(
        self,
        state: Path,
        bundle: Bundle,
        network: BaseNetwork | None = None,
        sounds: tuple[TaughtSound, ...] | None = None,
    ) -> None:
        self.path = state / TAUGHT_FILE
        self._bundle, self._embedder = bundle, Embedder(bundle, network)
        self._kept = ClipFolder(state / "clips")
        self._sounds = read_taught(self.path) if sounds is None else sounds

    @cached_property
    def _teacher(self) -> Teacher:
        return Teacher(self._bundle, self._embedder, self._kept)

    @property
    def sounds(self) -> tuple[TaughtSound, ...]:
        """All taught sounds, also those for other networks."""
        return self._sounds

    def teach(
        self, name: str, files: Sequence[ClipFile], classes: Iterable[str] = (), *, is_exclusion: bool = False
    ) -> TaughtSound:
        """Learn a sound from clips, and from those of its earlier lessons; store it.

        Args:
            name: label; of an exclusion, slug of the name that must not fire.
            files: clips.
            classes: AudioSet classes of `events.audioset`; no label is taught under the slug of one.
            is_exclusion: True for a sound that must not become an event of `name`.

        Raises:
            InputError: a name or a clip is refused, or the sound cannot be told apart.
            UnavailableError: the file cannot be written.
        """
        if is_exclusion and name in PATTERNS:
            raise InputError(
                f"{name}: an alarm pattern is detected by rule, which no lesson changes. Set its threshold in "
                "events.alarm_patterns"
            )
        if not is_exclusion:
            check_label(name)
            check_free(name, self._bundle, classes)
        keys = {sound.key for sound in self._sounds} | {(name, is_exclusion)}
        if len(keys) > _MOST_SOUNDS:
            raise InputError(f"{name}: {_MOST_SOUNDS} sounds are taught, the most. Remove one: earshot untaught LABEL")
        usable = [sound for sound in self._sounds if self._fits(sound)]
        earlier = [sound for sound in usable if sound.key == (name, is_exclusion)]
        clips = [TeachingClip(origin, rows) for sound in earlier for origin, rows in sound.clips]
        clips += self._read(files, {clip.origin.sha256: clip.origin.name for clip in clips})
        others = [sound for sound in usable if sound not in earlier]
        learned = self._teacher.learn(name, clips, others, is_exclusion=is_exclusion)
        changed = {learned.key: learned}
        if not is_exclusion:
            changed |= {sound.key: sound for sound in self._told_from(learned, others)}
        self._store([changed.get(sound.key, sound) for sound in self._sounds if sound.key != learned.key] + [learned])
        return learned

    def _told_from(self, learned: TaughtSound, others: Sequence[TaughtSound]) -> list[TaughtSound]:
        """Learn the other taught labels again, with the clips of the new one among their negatives.

        One that could no longer be recognized stays as it is: labels compete, so the likelier one becomes the event.
        """
        again = list[TaughtSound]()
        for other in others:
            clips = [TeachingClip(origin, rows) for origin, rows in other.clips]
            rest = [each for each in others if each is not other]
            if not other.is_exclusion:
                with contextlib.suppress(InputError):
                    again.append(self._teacher.learn(other.name, clips, [*rest, learned], is_exclusion=False))
        return again

    def forget(self, name: str) -> int:
        """Remove a taught label and what must not fire it; return the number of clips that had taught them.

        Raises:
            InputError: nothing of this name was taught.
            UnavailableError: the file cannot be written.
        """
        removed = [sound for sound in self._sounds if sound.name == name]
        if not removed:
            names = ", ".join(sorted({sound.name for sound in self._sounds})) or "nothing"
            raise InputError(f"{quoted(name)}: not taught. Taught are: {names}")
        self._store([sound for sound in self._sounds if sound.name != name])
        return sum(len(sound.clips) for sound in removed)

    def export(self, target: Path) -> None:
        """Write all taught sounds to another file.

        Raises:
            InputError: nothing was taught.
            UnavailableError: the file cannot be written.
        """
        if not self._sounds:
            raise InputError("teach --export: nothing was taught. Teach a label first: earshot teach LABEL FILE...")
        write_taught(target, self._sounds)

    def add(self, source: Path) -> tuple[TaughtSound, ...]:
        """Add the sounds of an export; they replace those of the same names. Return them.

        Raises:
            InputError: the file is missing, or is no export.
            UnavailableError: the file in the state directory cannot be written.
        """
        try:
            added = read_taught(source)
        except ConfigError as error:
            raise InputError(str(error)) from error
        if not added:
            raise InputError(
                f"{source}: no such file, or nothing in it. Give a file that `earshot teach --export` wrote"
            )
        keys = {sound.key for sound in added}
        self._store([*(sound for sound in self._sounds if sound.key not in keys), *added])
        return added

    def detectors(self) -> TaughtSounds:
        """Return the detectors for this bundle. Sounds of another network are learned anew where their clips exist."""
        faults, usable = [], list[TaughtSound]()
        for sound in self._sounds:
            if not sound.is_exclusion and sound.name in (*self._bundle.labels, *PATTERNS):
                other = "an alarm pattern" if sound.name in PATTERNS else f"a label of {self._bundle}"
                faults.append(
                    f"{sound.name}: taught, and also {other}, which is used. Remove the taught one: "
                    f"earshot untaught {sound.name}"
                )
            elif self._fits(sound):
                usable.append(sound)
            else:
                try:
                    usable.append(self._teacher.relearn(sound, [each for each in usable if each.key != sound.key]))
                except InputError as error:
                    faults.append(str(error))
        self._keep_relearned(usable)
        labels = {sound.name: sound.detector for sound in usable if not sound.is_exclusion}
        exclusions = {sound.name: sound.detector for sound in usable if sound.is_exclusion}
        return TaughtSounds(labels, exclusions, tuple(faults))

    def _fits(self, sound: TaughtSound) -> bool:
        """Return whether a sound was learned with the embedding of this bundle's network, whatever its heads."""
        return sound.network == self._embedder.sha256 or self._embedder.agrees(sound.probe)

    def _read(self, files: Sequence[ClipFile], known: dict[str, str]) -> list[TeachingClip]:
        """Read clips.

        Raises:
            InputError: a clip is unreadable, unusable, or the same as another one.
        """
        clips = list[TeachingClip]()
        for file in files:
            clip = self._teacher.read(file.path, file.name)
            if (earlier := known.get(clip.origin.sha256)) is not None:
                raise InputError(f"{file.name}: the same sound as {earlier}. Give each recording once")
            known[clip.origin.sha256] = file.name
            clips.append(clip)
        return clips

    def _keep_relearned(self, usable: Sequence[TaughtSound]) -> None:
        """Store the sounds that were learned anew, so that the next start need not."""
        changed = {sound.key: sound for sound in usable if sound not in self._sounds}
        if not changed:
            return
        _LOGGER.info("learned anew for the bundle %s: %s", self._bundle, ", ".join(name for name, _ in changed))
        try:
            self._store([changed.get(sound.key, sound) for sound in self._sounds])
        except UnavailableError as error:
            _LOGGER.warning("%s", error)

    def _store(self, sounds: Sequence[TaughtSound]) -> None:
        write_taught(self.path, sounds)
        self._sounds = tuple(sounds)


def open_taught(state: Path, bundle: Bundle, network: BaseNetwork | None = None) -> TaughtSounds:
    """Return the detectors of a state directory for a bundle. A fault is part of the result: detection must continue.

    Args:
        state: state directory.
        bundle: as loaded.
        network: its AudioSet network, if it is loaded already.
    """
    try:
        sounds = read_taught(state / TAUGHT_FILE)
        return TaughtLibrary(state, bundle, network, sounds).detectors() if sounds else NOTHING_TAUGHT
    except EarshotError as error:
        return replace(NOTHING_TAUGHT, faults=(str(error),))
