"""Nearest labels: the names whose confidence in the last window came nearest to their thresholds."""

import math
from dataclasses import dataclass

from device.detection.active_event import Moment
from device.detection.label_settings import LabelSettings
from device.types import SoundName


@dataclass(frozen=True)
class NearLabel:
    """Name with its confidence in a window.

    Attributes:
        name: the name.
        confidence: as the event tracker compares it with the threshold, 0 to 1.
        threshold: confidence from which the name becomes an event, 0 to 1.
    """

    name: SoundName
    confidence: float
    threshold: float

    @property
    def share(self) -> float:
        """Confidence as a multiple of the threshold."""
        return self.confidence / self.threshold if self.threshold else math.inf


@dataclass(frozen=True)
class NearestLabels:
    """Nearest labels of one full window.

    Attributes:
        end_time: end of the window, Unix seconds.
        is_unknown: True if the decision is `unknown`, at any confidence of the bundle's labels.
        labels: the nearest labels, the one with the largest share of its threshold first.
    """

    end_time: float
    is_unknown: bool
    labels: tuple[NearLabel, ...]


def nearest_labels(moment: Moment, settings: LabelSettings, count: int) -> NearestLabels:
    """Return the nearest labels of a window, without those that are switched off.

    Args:
        moment: judgements of the window.
        settings: present thresholds and switches.
        count: largest number of labels.
    """
    labels = [
        NearLabel(name, confidence, settings[name].threshold)
        for judgement in moment.judgements.values()
        for name, confidence in judgement.confidences.items()
        if settings[name].enabled
    ]
    labels.sort(key=lambda each: -each.share)
    is_unknown = any(judgement.is_unknown for judgement in moment.judgements.values())
    return NearestLabels(moment.time_of(moment.window.end), is_unknown, tuple(labels[:count]))
