"""How events are scored against what sounded.

An event matches a sound if the label is right and its onset within 2 s of the sound's; each matches one other at most,
in the order of time. F1 is the harmonic mean of precision and recall over events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE_SECONDS = 2.0
FEW_FALSE_EVENTS = 12.0
"""An hour, for the second row of YAMNet: what somebody may bear."""
Sounds = list[tuple[str, float]]
"""Label and onset in seconds."""


@dataclass(frozen=True)
class Side:
    """One listener on one street or several: counts that add up."""

    hits: int
    sounds: int
    events: int
    false_events: int
    hours: float

    def __add__(self, other: "Side") -> "Side":
        return Side(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1."""
        return 2 * self.hits / max(self.sounds + self.events, 1)

    @property
    def false_per_hour(self) -> float:
        """On ambience alone."""
        return self.false_events / self.hours

    def __str__(self) -> str:
        precision, recall = self.hits / max(self.events, 1), self.hits / max(self.sounds, 1)
        return f"{self.f1:6.2f}{precision:11.2f}{recall:8.2f}{self.events:8}{self.false_per_hour:15.1f}"


def matches(truth: Sounds, events: Sounds) -> int:
    """Number of pairs of equal label and onsets within the tolerance, each in one pair at most."""
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


def table(title: str, ours: Side, theirs: Sequence[Side]) -> str:
    """Earshot, and YAMNet at two of its thresholds, as text."""
    best = max(theirs, key=lambda side: side.f1)
    quiet = max((each for each in theirs if each.false_per_hour <= FEW_FALSE_EVENTS), key=lambda side: side.f1)
    columns = f"{'F1':>6}{'precision':>11}{'recall':>8}{'events':>8}{'false events/h':>15}"
    rows = {
        f"{title}, {ours.sounds} sounds": columns,
        "Earshot, daemon and broker": ours,
        "YAMNet, best threshold": best,
        f"YAMNet, at most {FEW_FALSE_EVENTS:.0f} false events/h": quiet,
    }
    return "\n" + "\n".join(f"{name:<44}{row}" for name, row in rows.items())
