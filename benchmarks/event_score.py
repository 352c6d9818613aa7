"""Event score: F1, precision, recall and false events of detected events, compared with the true sounds.

An event matches a sound with its label if their onsets differ by at most 2 s. Pairs are formed in the order of time,
and each event and each sound is in one pair at most. F1 is the harmonic mean of precision and recall over events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE_SECONDS = 2.0
"""Largest difference between the onsets of an event and its sound, s."""
MAXIMUM_FALSE_PER_HOUR = 12.0
"""Largest number of false events an hour in the second row of YAMNet: a tolerable number for a user."""
Sounds = list[tuple[str, float]]
"""Label and onset in seconds."""


@dataclass(frozen=True)
class Counts:
    """Counts of one detector on one street scene or several. They can be added.

    Attributes:
        hits: matching pairs of an event and a sound.
        sounds: true sounds.
        events: detected events.
        false_events: events in ambience alone.
        hours: length of that ambience, h.
    """

    hits: int
    sounds: int
    events: int
    false_events: int
    hours: float

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def f1(self) -> float:
        """F1: harmonic mean of precision and recall, 0 to 1."""
        return 2 * self.hits / max(self.sounds + self.events, 1)

    @property
    def false_per_hour(self) -> float:
        """False events per hour of ambience."""
        return self.false_events / self.hours

    def __str__(self) -> str:
        precision, recall = self.hits / max(self.events, 1), self.hits / max(self.sounds, 1)
        return f"{self.f1:6.2f}{precision:11.2f}{recall:8.2f}{self.events:8}{self.false_per_hour:15.1f}"


def count_matches(truth: Sounds, events: Sounds) -> int:
    """Count the matching pairs of true sounds and events."""
    hits = 0
    for label in {label for label, _ in truth}:
        expected = sorted(onset for name, onset in truth if name == label)
        for onset in sorted(onset for name, onset in events if name == label):
            while expected and expected[0] < onset - TOLERANCE_SECONDS:
                expected.pop(0)
            if expected and expected[0] <= onset + TOLERANCE_SECONDS:
                expected.pop(0)
                hits += 1
    return hits


def table(title: str, earshot: Counts, yamnet: Sequence[Counts]) -> str:
    """Format the scores of Earshot, and of YAMNet at two of its thresholds, as text.

    Args:
        title: title of the table.
        earshot: counts of Earshot.
        yamnet: counts of YAMNet at each threshold.
    """
    best = max(yamnet, key=lambda counts: counts.f1)
    quiet = max(
        (each for each in yamnet if each.false_per_hour <= MAXIMUM_FALSE_PER_HOUR), key=lambda counts: counts.f1
    )
    columns = f"{'F1':>6}{'precision':>11}{'recall':>8}{'events':>8}{'false events/h':>15}"
    rows = {
        f"{title}, {earshot.sounds} sounds": columns,
        "Earshot, daemon and broker": earshot,
        "YAMNet, best threshold": best,
        f"YAMNet, at most {MAXIMUM_FALSE_PER_HOUR:.0f} false events/h": quiet,
    }
    return "\n" + "\n".join(f"{name:<44}{row}" for name, row in rows.items())
