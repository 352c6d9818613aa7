"""Threshold view: the threshold of each label, and the events of the last week that each value would let through."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from device.history.reader import HistoryReader
from device.model.sound_names import AUDIOSET_PREFIX
from device.util.text import slug

WEEK_SECONDS: Final = 7 * 86400
_STEPS: Final = 100


@dataclass(frozen=True)
class ThresholdView:
    """Threshold of one label.

    Attributes:
        slug: slug of the label, as in the topic.
        name: label of the history with this slug, else the slug.
        threshold: present value, 0 to 1.
        passing: number of events of the last week whose confidence reaches 0 %, 1 % ... 100 %; shape (101,).
    """

    slug: str
    name: str
    threshold: float
    passing: list[int]

    @property
    def passing_now(self) -> int:
        """Number of events of the last week that reach the present threshold."""
        return self.passing[min(_STEPS, max(0, round(self.threshold * _STEPS)))]


def view_thresholds(states: dict[str, str], reader: HistoryReader, now: float) -> list[ThresholdView]:
    """Return the thresholds with their counts.

    The history contains events only, hence no sound below the threshold of its time.

    Args:
        states: payload of `threshold/<slug>` by slug.
        reader: the history.
        now: Unix seconds.
    """
    confidences: dict[str, list[float]] = {}
    names: dict[str, str] = {}
    for vocabulary, label, confidence in reader.confidences(now - WEEK_SECONDS, now):
        key = slug(label)
        if vocabulary == "audioset" and AUDIOSET_PREFIX + key in states:  # the bundle has a label with the same slug
            key = AUDIOSET_PREFIX + key
        confidences.setdefault(key, []).append(confidence)
        names[key] = label
    return [
        ThresholdView(key, names.get(key, key), threshold, _passing(confidences.get(key, [])))
        for key, text in states.items()
        if (threshold := _probability(text)) is not None
    ]


def _passing(confidences: list[float]) -> list[int]:
    """Return how many of the confidences reach each step from 0 to 1."""
    rising = sorted(confidences)
    return [len(rising) - bisect_left(rising, step / _STEPS) for step in range(_STEPS + 1)]


def _probability(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None
