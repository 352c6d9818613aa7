"""Teacher: learns a sound from its clips, against all other sounds that are known on the device."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from device.clips.store import ClipFolder
from device.errors import InputError
from device.model.bundle import Bundle
from device.model.taught import TAUGHT_THRESHOLD
from device.teaching.embedder import Embedder
from device.teaching.kept_clips import KeptClips
from device.teaching.learning import Lesson, learn
from device.teaching.negatives import Negatives, as_negatives, join, shipped_negatives
from device.teaching.taught_file import Figures, TaughtSound
from device.teaching.teaching_clip import TeachingClip, read_teaching_clip

FEWEST, MOST = 3, 20
"""Number of clips of a sound."""
_GROUPS = {"ambient": "shipped ambience", "speech": "shipped speech", "noise": "synthesised noise"}


class Teacher:
    """Teacher for a bundle.

    Args:
        bundle: its labels.
        embedder: its AudioSet network.
        folder: clips of events on this device.

    Attributes:
        read: reads a clip from path and name (see `read_teaching_clip`).
    """

    def __init__(self, bundle: Bundle, embedder: Embedder, folder: ClipFolder) -> None:
        self._bundle, self._embedder = bundle, embedder
        self.read = partial(read_teaching_clip, embedder=embedder)
        self._kept = KeptClips(folder, self.read)
        self._shipped = shipped_negatives(embedder)

    def learn(
        self, name: str, clips: Sequence[TeachingClip], others: Sequence[TaughtSound], *, is_exclusion: bool
    ) -> TaughtSound:
        """Learn a sound from all of its clips.

        A taught label is learned against shipped negatives, other taught labels, and clips corrected to other labels.
        An exclusion is learned against shipped negatives and, above all, against the sounds that must still fire.

        Args:
            name: the label; of an exclusion, the slug of the name that must not fire.
            clips: its clips.
            others: the other taught sounds, for the same network.
            is_exclusion: see `TaughtSound`.

        Raises:
            InputError: the clips are too few or too many, or cannot be told from other sounds.
        """
        if not FEWEST <= len(clips) <= MOST:
            fault = "too few" if len(clips) < FEWEST else "too many"
            raise InputError(f"{name}: {len(clips)} clips are {fault}. Give {FEWEST} to {MOST}, each another recording")
        given = {clip.origin.sha256 for clip in clips}
        if is_exclusion:
            negatives, rivals = self._shipped, self._rivals(name, others)
        else:
            negatives = join([self._shipped, *_taught_negatives(name, others), *self._kept.negatives(name, given)])
            rivals = None
        lesson = learn([clip.embeddings for clip in clips], negatives, rivals)
        if 2 * sum(lesson.recognized) < len(clips):
            raise InputError(self._refusal(name, clips, lesson))
        return TaughtSound(
            name,
            is_exclusion,
            self._embedder.sha256,
            self._embedder.probe,
            tuple((clip.origin, clip.embeddings) for clip in clips),
            lesson.detector,
            self._figures(lesson, self._kept.uncorrected(name, given)),
        )

    def relearn(self, sound: TaughtSound, others: Sequence[TaughtSound]) -> TaughtSound:
        """Learn a sound for another network, from the clips that are still where they were.

        Raises:
            InputError: too few of them are, or the network cannot tell the sound apart.
        """
        found = list(self._found_again(sound))
        if len(found) < FEWEST:
            raise InputError(
                f"{sound.name}: taught with another network, and {len(found)} of its {len(sound.clips)} clips are "
                "still there. Teach it again, or set model.bundle to the earlier bundle"
            )
        return self.learn(sound.name, found, others, is_exclusion=sound.is_exclusion)

    def _found_again(self, sound: TaughtSound) -> Iterator[TeachingClip]:
        for origin, _ in sound.clips:
            try:
                clip = self.read(Path(origin.path), origin.name)
            except InputError:  # deleted, moved or not readable by this user
                continue
            if clip.origin.sha256 == origin.sha256:
                yield clip

    def _rivals(self, name: str, others: Sequence[TaughtSound]) -> Negatives | None:
        """Return the sounds that an exclusion must not suppress: of the label that it belongs to. None without any."""
        parts = [shipped] if (shipped := self._shipped.group(name)).names else []
        parts += [_as_negatives(name, other) for other in others if other.key == (name, False)]
        if corrected := self._kept.of_label(name):
            parts.append(as_negatives(name, [(clip.origin.name, clip.embeddings) for clip in corrected]))
        return join(parts) if parts else None

    def _figures(self, lesson: Lesson, kept: Sequence[TeachingClip]) -> Figures:
        detected = [float(lesson.detector.probabilities(clip.embeddings).mean()) >= TAUGHT_THRESHOLD for clip in kept]
        hop_seconds = self._embedder.window_length / 2 / self._embedder.sample_rate
        return Figures(
            recognized=sum(lesson.recognized),
            clips=len(lesson.recognized),
            false_alarms=lesson.false_alarms,
            ambience_minutes=round(lesson.ambience_windows * hop_seconds / 60, 1),
            kept_clips=len(kept),
            kept_detected=sum(detected),
            rivals=len(lesson.rivals_detected),
            rivals_detected=sum(lesson.rivals_detected),
        )

    def _refusal(self, name: str, clips: Sequence[TeachingClip], lesson: Lesson) -> str:
        """Describe from what a sound cannot be told."""
        group, _, recording = lesson.nearest.partition("/")
        known = f"the label {group}" if group in self._bundle.labels else _GROUPS.get(group, group)
        text = (
            f"{name}: refused: of {len(clips)} clips, {sum(lesson.recognized)} are recognized when each is left out. "
            f"They cannot be told from {known} ({recording}, {lesson.nearest_confidence:.2f}). Give clips with this "
            "sound alone, or more of them"
        )
        sounds = [clip.samples for clip in clips if clip.samples is not None]
        if not sounds:
            return text
        similar, probability = self._embedder.likeliest_class(sounds)
        return f"{text}; or use events.audioset: the likeliest class of the clips is {similar}, {probability:.2f}"


def _taught_negatives(name: str, others: Sequence[TaughtSound]) -> list[Negatives]:
    """Return the clips of the other taught labels."""
    labels = [other for other in others if not other.is_exclusion and other.name != name]
    return [_as_negatives(f"the taught label {other.name}", other) for other in labels]


def _as_negatives(group: str, sound: TaughtSound) -> Negatives:
    return as_negatives(group, [(origin.name, rows) for origin, rows in sound.clips])
